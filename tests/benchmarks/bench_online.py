"""A whole online GRPO step, rollouts included, against TRL's trainer as it comes, which generates by itself with transformers.

    python -m tests.benchmarks.bench_online

Ours is all of it: the trainer asks, confined workers run the harness (one call an episode), the gateway samples under the
step's own adapter, the verifier scores, every episode is stored, the trainer is told and learns, and writes the next adapter.
Same model of nano's size, LoRA of rank 32, prompts, group size, longest completion and rewards (an even first token) on both
sides. Trainer and gateway have a thread each: where they wait for each other TRL has one too, with staleness, where they do not,
two. Sides take turns in one run; warm-up is left out. On a busy machine the clock flatters whoever has more processes: the
seconds of all cores together do not.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import psutil
import torch
import yaml
from transformers import TrainerCallback

from sia_tui.agents.protocol import Brief
from sia_tui.cli.main import main as cli
from sia_tui.config import RunConfig, load_config
from sia_tui.core.plans import TrainPlan
from sia_tui.core.proposals import Proposal
from sia_tui.core.state import Step
from sia_tui.engine import prepare
from sia_tui.engine.opening import open_session
from sia_tui.engine.prepare import policy_folder
from sia_tui.engine.progress import Reporter
from sia_tui.engine.rollout import Trial
from sia_tui.engine.sampling import Sampling, sampling, training_cases
from sia_tui.engine.session import Session
from sia_tui.engine.trainer import Trainer
from sia_tui.engine.training import _told
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore
from sia_tui.weights import adapters
from sia_tui.weights import protocol as wire
from tests.lawbench_shaped import write_lawbench_shaped
from tests.policy.tiny import make_model
from tests.weights.bandit import even

RUN, CASES, SAMPLES, WARM_UP = "online", 16, 8, 2
MICRO = (16, 64)
"""Rows of one of TRL's passes; the better of the two is taken."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--new", type=int, nargs="+", default=[16, 2], help="longest completion, in tokens")
    parser.add_argument("--staleness", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sia-online-") as name:
        workspace, config = prepared(Path(name))
        asyncio.run(measured(workspace, config, options))


def prepared(root: Path) -> tuple[Workspace, RunConfig]:
    """A run that has measured its first harness and done nothing else."""
    model = make_model(root / "model", vocabulary=4000, hidden=160, layers=2, context=512)
    data = write_lawbench_shaped(root / "data" / "lawbench", charges=12, per_charge=24)
    config = {
        "task": {"name": "lawbench", "data": str(data)},
        "policy": {"kind": "model", "model": str(model)},
        "evaluate": {"train": 2, "dev": 2, "hidden": 2, "open_test": False},
        "budget": {"steps": 0},
    }
    file, workspace = root / "online.yaml", Workspace(root / "workspace")
    file.write_text(yaml.safe_dump(config))
    prepare.make_meta_agent = lambda name: AskingOnce()
    said = io.StringIO()
    with redirect_stdout(said):
        status = cli(["run", str(file), "--name", RUN, "--headless", "--workspace", str(workspace.root)])
    if status:
        sys.exit(said.getvalue())
    return workspace, load_config(file)


class AskingOnce:
    """The house's first harness, with a call an episode."""

    async def first_harness(self, brief: Brief, seed: Mapping[str, str]) -> Mapping[str, str]:
        shorter = {"ATTEMPTS = 2": "ATTEMPTS = 1", "HEAD = 100": "HEAD = 30", "TAIL = 60": "TAIL = 20"}
        text = seed["harness.py"]
        for was, now in shorter.items():
            assert was in text, was
            text = text.replace(was, now)
        return dict(seed) | {"harness.py": text}


async def measured(workspace: Workspace, config: RunConfig, options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    paths = workspace.run(RUN)
    print("| tokens | staleness | TRL's threads | ours s | TRL s | ours / TRL | ours cpu s | TRL cpu s | ours / TRL |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    with RunStore(paths.db) as store:
        report = Reporter(store, lambda line: None)
        async with open_session(workspace, paths, config, store, report, lambda: False) as session:
            session.interrupted = lambda: False  # The run has ended, which else stops its rollouts.
            for new in options.new:
                for staleness in options.staleness:
                    await compared(session, paths, plan(new, staleness), options)


def plan(new: int, staleness: int) -> TrainPlan:
    return TrainPlan(
        "grpo",
        steps=1000,
        cases_per_step=CASES,
        samples=SAMPLES,
        cases=128,
        held_out=8,
        learning_rate=1e-4,
        eval_every=1000,
        max_tokens=new,
        staleness=staleness,
    )


async def compared(session: Session, paths: RunPaths, asked: TrainPlan, options: argparse.Namespace) -> None:
    async with online(session, paths, asked) as ours:
        threads = 2 if asked.staleness else 1
        theirs = await asyncio.to_thread(best_micro, ours.job, await ours.prompts(), threads)
        for _ in range(WARM_UP):
            await ours.step()
        rounds = [(await ours.step(), await asyncio.to_thread(theirs.step, threads)) for _ in range(options.rounds)]
        theirs.close()
    told = [str(asked.max_tokens), str(asked.staleness), str(threads)]
    for kind in ("wall", "cpu"):
        pairs = [(getattr(own, kind), getattr(other, kind)) for own, other in rounds]
        mine, plain = (statistics.median(some) for some in zip(*pairs, strict=True))
        told += [f"{mine:.2f}", f"{plain:.2f}", f"{statistics.median(own / other for own, other in pairs):.2f}"]
    print(f"| {' | '.join(told)} |", flush=True)
    print(
        f"  sampled tokens a step: ours {ours.sampled:.0f}, TRL {theirs.sampled:.0f}; rows of TRL's passes {theirs.micro}"
    )


@asynccontextmanager
async def online(session: Session, paths: RunPaths, asked: TrainPlan) -> AsyncIterator[Ours]:
    name = f"p-{asked.max_tokens}-{asked.staleness}"
    best = session.state.best
    assert best is not None
    proposal = Proposal("weights", name, "", name, best.commit, plan=asked)
    step = Step(name, proposal, commit=best.commit, tree=best.tree)
    learned, held_out = training_cases(session, asked)
    job = wire.Job(
        plan=asked,
        model=await policy_folder(session),
        parent=None,
        cases=tuple(case.id for case in learned),
        held_out=tuple(case.id for case in held_out),
        folder=paths.training / name,
        out=paths.training / name / "adapter",
    )
    async with sampling(session, step, asked) as rollouts, Trainer(job, paths.logs / "trainer.log") as trainer:
        yield Ours(session, job, rollouts, trainer)


@dataclass(frozen=True)
class Took:
    """Seconds of the clock, and of all cores by this process and those below it."""

    wall: float
    cpu: float

    def __sub__(self, before: Took) -> Took:
        return Took(self.wall - before.wall, self.cpu - before.cpu)


def now() -> Took:
    own = psutil.Process()
    spent = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return Took(time.monotonic(), sum(one.user + one.system for one in spent))


class Ours:
    """The engine's part in a training, a step at a time: between two steps everything waits.

    With staleness the rollouts of the next step are made while this one is learned from, as in a run; then a step ends when
    both are done.
    """

    def __init__(self, session: Session, job: wire.Job, rollouts: Sampling, trainer: Trainer) -> None:
        self.job, self.sampled = job, 0.0
        self._session, self._rollouts, self._trainer = session, rollouts, trainer
        self._needs: deque[wire.Need] = deque()
        self._ready: wire.Told | None = None

    async def prompts(self) -> list[Sequence[dict[str, str]]]:
        """What the harness asks the policy of each case."""
        trials = [Trial(self._session.task.cases[name]) for name in self.job.cases]
        made = await self._rollouts.make(None, "pilot", 0, trials)
        return [[dict(message) for message in attempt.calls[0].messages] for attempt, _ in made]

    async def step(self) -> Took:
        """From the first rollout asked for to the next adapter written."""
        ahead = self.job.plan.staleness > 0
        if not self._needs:
            for _ in range(1 + ahead):
                await self._need()
            self._ready = await self._answer() if ahead else None
        began = now()
        await self._trainer.tell(self._ready or await self._answer())
        self._ready = await self._answer() if ahead else None
        await self._need()
        return now() - began

    async def _need(self) -> None:
        """Hear the trainer until it asks for rollouts to learn from."""
        while True:
            said = await self._trainer.hear()
            if isinstance(said, wire.Need):
                self._needs.append(said)
                if said.purpose == "train":
                    return
                await self._trainer.tell(await self._answer())
            assert not isinstance(said, wire.Failed), said

    async def _answer(self) -> wire.Told:
        need = self._needs.popleft()
        cases = [self._session.task.cases[name] for name in need.cases]
        firsts = need.first or (0,) * len(cases)
        trials = [
            Trial(case, first + at) for case, first in zip(cases, firsts, strict=True) for at in range(need.samples)
        ]
        made = await self._rollouts.make(need.adapter, need.purpose, need.step, trials)
        told = [_told(trial, *both) for trial, both in zip(trials, made, strict=True)]
        self.sampled = sum(len(call.completion_ids) for one in told for call in one.calls)
        paid = tuple(replaced(one) for one in told)
        return wire.Told(id=need.id, rollouts=paid)


def replaced(rollout: wire.Rollout) -> wire.Rollout:
    """A policy with random weights answers nothing right; half of its first tokens are even."""
    return rollout.model_copy(update={"reward": even(rollout.calls[0].completion_ids[0])})


def best_micro(job: wire.Job, prompts: list[Any], threads: int) -> Theirs:
    """TRL's trainer at the better of two micro-batches, warmed up."""
    made = [Theirs(job, prompts, micro) for micro in MICRO]
    took = [one.step(threads).cpu for one in made]
    better = made[took.index(min(took))]
    for one in made:
        if one is not better:
            one.close()
    return better


class Theirs(TrainerCallback):
    """TRL's GRPOTrainer in a thread of its own, a step at a time."""

    def __init__(self, job: wire.Job, prompts: list[Any], micro: int) -> None:
        self.micro, self.sampled = micro, 0.0
        self._go: Queue[int] = Queue()
        self._done: Queue[None] = Queue()
        self._thread = Thread(target=self._train, args=(job, prompts), daemon=True)
        self._thread.start()

    def step(self, threads: int) -> Took:
        """From the first prompt to the optimizer's step."""
        began = now()
        self._go.put(threads)
        self._done.get(timeout=600)
        return now() - began

    def close(self) -> None:
        self._go.put(0)
        self._thread.join(60)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        threads = self._go.get()
        if threads == 0:
            raise SystemExit
        torch.set_num_threads(threads)
        self.sampled = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._done.put(None)

    def _paid(self, completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
        self.sampled += sum(map(len, completion_ids))
        return [even(ids[0]) for ids in completion_ids]

    def _train(self, job: wire.Job, prompts: list[Any]) -> None:
        from datasets import Dataset
        from transformers import AutoTokenizer, PrinterCallback
        from trl.trainer.grpo_config import GRPOConfig
        from trl.trainer.grpo_trainer import GRPOTrainer

        asked = job.plan
        load: Any = AutoTokenizer.from_pretrained
        arguments = GRPOConfig(
            output_dir=str(job.folder / "theirs"),
            max_steps=asked.steps,
            learning_rate=asked.learning_rate,
            max_grad_norm=1.0,
            per_device_train_batch_size=self.micro,
            gradient_accumulation_steps=CASES * SAMPLES // self.micro,
            num_generations=SAMPLES,
            max_completion_length=asked.max_tokens,
            temperature=asked.temperature,
            use_vllm=False,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = GRPOTrainer(
            model=adapters.make(job),
            reward_funcs=self._paid,
            args=arguments,
            train_dataset=Dataset.from_dict({"prompt": prompts}),
            processing_class=load(job.model, local_files_only=True),
            callbacks=[self],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()


if __name__ == "__main__":
    main()
