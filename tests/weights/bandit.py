"""The engine's side of the pipe, with a bandit for an environment: an even first token pays 1."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import IO, Any, BinaryIO

from sia_tui.core.plans import TrainPlan
from sia_tui.core.room import DiskFull
from sia_tui.engine.trainer import ALONE, GROUP
from sia_tui.weights.protocol import (
    SAID,
    End,
    Failed,
    Full,
    Job,
    Metrics,
    Need,
    Notice,
    Rollout,
    SampledCall,
    Told,
    Turn,
)

Reward = Callable[[int], float]
NEVER = 1_000_000


def even(token: int) -> float:
    return float(token % 2 == 0)


def prompt_of(case: str) -> tuple[int, ...]:
    number = int(case.removeprefix("c"))
    return (3, 10 + number % 50, *([20 + number % 7] * (number % 3)), 4)


class Policy:
    """The tiny model under any adapter folder; samples are drawn from what is asked, so that asking twice is cheap."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._models: dict[str, Any] = {}

    def model(self, adapter: Path | None) -> Any:
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(1)
        key = str(adapter)
        if key not in self._models:
            self._models.clear()
            base = AutoModelForCausalLM.from_pretrained(self.folder)
            self._models[key] = (PeftModel.from_pretrained(base, str(adapter)) if adapter else base).eval()
        return self._models[key]

    def table(self, adapter: Path | None, ids: tuple[int, ...]) -> Any:
        """Log-probabilities of the next token."""
        import torch

        with torch.inference_mode():
            return self.model(adapter)(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)

    def roll(self, need: Need, reward: Reward) -> tuple[Rollout, ...]:
        return tuple(rollout for case in need.cases for rollout in self._group(need, case, reward))

    def _group(self, need: Need, case: str, reward: Reward) -> Iterator[Rollout]:
        import torch

        prompt = prompt_of(case)
        table = self.table(need.adapter, prompt)
        draw = torch.Generator().manual_seed(need.step * 1000 + int(case[1:]))
        sampled = torch.multinomial(table.exp(), need.samples, replacement=True, generator=draw).tolist()
        tokens = [int(table.argmax())] if need.purpose == "held_out" else sampled
        for sample, token in enumerate(tokens):
            messages = ({"role": "user", "content": case},)
            call = SampledCall(
                messages=messages, prompt_ids=prompt, completion_ids=(token,), logprobs=(float(table[token]),)
            )
            paid = reward(token)
            yield Rollout(case=case, sample=sample, reward=paid, solved=paid == 1, calls=(call,))


@dataclass
class Heard:
    """All that a trainer said, and how it ended."""

    needs: list[Need] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """Of each line what it is, in their order."""
    metrics: list[Metrics] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    end: End | None = None
    status: int | None = None
    errors: str = ""

    def curve(self, name: str) -> list[float]:
        return [line.values[name] for line in self.metrics if name in line.values]


def plan(**changes: Any) -> TrainPlan:
    settings: dict[str, Any] = {
        "algorithm": "grpo",
        "steps": 6,
        "cases_per_step": 8,
        "samples": 4,
        "cases": 24,
        "held_out": 16,
        "learning_rate": 0.01,
        "eval_every": 2,
        "rank": 4,
        "alpha": 8,
    }
    return TrainPlan(**settings | changes)


def job(model: Path, folder: Path, asked: TrainPlan, **changes: Any) -> Job:
    cases = tuple(f"c{number}" for number in range(asked.cases))
    held_out = tuple(f"c{100 + number}" for number in range(asked.held_out))
    settings: dict[str, Any] = {"parent": None, "cases": cases, "held_out": held_out, "out": folder / "out"}
    return Job(plan=asked, model=model, folder=folder / "work", **settings | changes)


def start(asked: Job) -> subprocess.Popen[bytes]:
    path = asked.folder.parent / "job.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(asked.model_dump_json())
    command = [sys.executable, "-m", GROUP if asked.workers > 1 else ALONE, "--job", str(path)]
    errors = path.with_name("errors").open("ab")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "random"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment)


def run(
    asked: Job,
    policy: Policy,
    *,
    reward: Reward = even,
    kill: Callable[[Need], bool] = lambda need: False,
    stop_at: int = NEVER,
    leave_at: int = NEVER,
) -> Heard:
    """Answer a trainer until it ends, or kill it instead of answering a need for which `kill` says so.

    From the rollouts of step `stop_at` on, each answer says that somebody wants it to end.
    """
    heard = Heard()
    process = start(asked)
    assert process.stdin and process.stdout
    if not answered(heard, process.stdout, process.stdin, policy, reward, kill, stop_at, leave_at):
        process.kill()
    process.stdin.close()
    heard.status = process.wait(20)
    process.stdout.close()
    heard.errors = (asked.folder.parent / "errors").read_text()
    return heard


def run_here(
    asked: Job, policy: Policy, *, reward: Reward = even, stop_at: int = NEVER, leave_at: int = NEVER
) -> Heard:
    """The same in this process, over a real pipe: what is not about processes need not import torch and trl again."""
    import torch

    from sia_tui.weights.pipe import Pipe
    from sia_tui.weights.stopping import TrainingFailed
    from sia_tui.weights.trainer import train

    (told, tell), (hear, said) = os.pipe(), os.pipe()
    heard = Heard()
    with os.fdopen(tell, "wb") as answers, os.fdopen(hear, "rb") as questions:
        pipe = Pipe(os.fdopen(told, "rb"), os.fdopen(said, "wb"))
        asks = (heard, questions, answers, policy, reward, lambda _: False, stop_at, leave_at)
        engine = Thread(target=answered, args=asks)
        engine.start()
        try:
            pipe.say(train(asked, pipe))
        except TrainingFailed as failure:
            pipe.say(Failed(reason=str(failure)))
        except DiskFull as full:
            pipe.say(Full(reason=str(full)))
        except BaseException as error:
            pipe.say(Failed(reason=repr(error)))
            raise
        finally:
            torch.use_deterministic_algorithms(False)
            engine.join(20)
    return heard


def answered(
    heard: Heard,
    questions: BinaryIO | IO[bytes],
    answers: BinaryIO | IO[bytes],
    policy: Policy,
    reward: Reward,
    kill: Callable[[Need], bool],
    stop_at: int,
    leave_at: int = NEVER,
) -> bool:
    """The engine's part, until the trainer has ended; False when it is to be killed instead."""
    for line in questions:
        said = SAID.validate_python(json.loads(line))
        heard.said.append(said.say)
        if isinstance(said, Metrics):
            heard.metrics.append(said)
        elif isinstance(said, Notice):
            heard.notices.append(said.text)
        elif isinstance(said, Turn):
            answers.write(Told(id=said.id, rollouts=()).model_dump_json().encode() + b"\n")
            answers.flush()
        elif isinstance(said, Need):
            heard.needs.append(said)
            if kill(said):
                return False
            stop = "ana asked for it" if said.step >= stop_at else ""
            told = Told(id=said.id, rollouts=policy.roll(said, reward), stop=stop, leave=said.step >= leave_at)
            answers.write(told.model_dump_json().encode() + b"\n")
            answers.flush()
        else:
            heard.end = said
            return True
    return True
