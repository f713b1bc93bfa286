"""What all algorithms share: TRL's settings, rollouts asked for, looks at the held-out cases, checkpoints, the end."""

from __future__ import annotations

import math
import resource
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, PrinterCallback, TrainerCallback

from sia_tui.core.plans import OFFLINE
from sia_tui.weights import adapters, ranks
from sia_tui.weights.aside import Aside, held
from sia_tui.weights.head import narrow
from sia_tui.weights.pipe import Pipe
from sia_tui.weights.progress import Asked, Progress, beside, seal
from sia_tui.weights.protocol import Job, Metrics, Rollout, Trained
from sia_tui.weights.stopping import Look, TrainingFailed, best, improved, reason_to_stop, tripped
from sia_tui.weights.unpickled import Unpickled
from sia_tui.weights.whole import STEPS, by_step, copy, step_of

KEPT_CHECKPOINTS = 2
"""The newest may be damaged by what killed the trainer."""


@dataclass
class Training:
    """One training: what it was asked, what it knows, and the model it changes."""

    job: Job
    pipe: Pipe
    progress: Progress
    checkpoint: Path | None
    model: Any = field(init=False)
    tokenizer: Any = field(init=False)
    before: adapters.Factors = field(init=False)
    values: dict[str, float] = field(default_factory=dict)
    """Metrics of the step under way that TRL does not know of."""
    keeps: dict[str, Any] = field(default_factory=dict)
    """What a checkpoint holds beside adapter and optimizer: by name, things whose `state_dict` is tensors by name."""
    optimizer: Any = None
    """TRL's, once it has made one."""
    started: float = field(default_factory=time.monotonic)
    _questions: dict[int, int] = field(default_factory=dict)
    """Question that is out for each step to come."""

    def load(self) -> None:
        """Model and tokenizer, in a process that computes the same whenever it is asked the same."""
        if self.job.in_turns:
            self.pipe.turn()
        torch.set_num_threads(self.job.threads)
        torch.use_deterministic_algorithms(True, warn_only=self.job.device != "cpu")
        self.model = adapters.make(self.job)
        load: Any = AutoTokenizer.from_pretrained
        self.tokenizer = load(self.job.model, local_files_only=True)
        self.before = adapters.factors(self.model)
        self.forget(self.progress.looks[-1].step)

    def arguments(self) -> dict[str, Any]:
        """Settings of TRL's trainers that all algorithms have."""
        plan = self.job.plan
        return {
            "output_dir": str(self.job.checkpoints),
            "max_steps": plan.steps,
            "learning_rate": plan.learning_rate,
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
            "seed": plan.seed,
            "use_cpu": self.job.device == "cpu",
            "ddp_find_unused_parameters": False,
            "bf16": self.job.dtype == "bfloat16",
            "gradient_checkpointing": self.job.gradient_checkpointing,
            "logging_steps": 1,
            "logging_nan_inf_filter": False,
            # The callback orders a checkpoint at every look.
            "save_strategy": "no",
            "save_total_limit": KEPT_CHECKPOINTS,
            "report_to": [],
            "disable_tqdm": True,
            "dataloader_pin_memory": False,
            "remove_unused_columns": False,
        }

    def run(self, trainer: Any) -> None:
        """Train to the end, from the checkpoint where there is one."""
        if self.job.device == "cpu":
            plan = self.job.plan
            narrow(self.model, 1.0 if plan.algorithm in OFFLINE else plan.temperature)
        if self.checkpoint:
            # Beside another adapter, such as the reference that DPO keeps, transformers passes over the one at the root.
            adapters.read(self.model, self.checkpoint)
            for name, kept in self.keeps.items():
                kept.load_state_dict(load_file(beside(self.checkpoint, name)))
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Looks(self))
        trainer.train(resume_from_checkpoint=str(self.checkpoint) if self.checkpoint else None)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Inside, the policy has the turn: in turns this trainer is off the GPUs, where it is again afterwards."""
        if not self.job.in_turns:
            yield
            return
        left = time.monotonic()
        moved = Aside(self._held())
        self.pipe.waited += time.monotonic() - left
        yield
        self.pipe.turn()
        returned = time.monotonic()
        moved.back()
        self.pipe.waited += time.monotonic() - returned

    def _held(self) -> Iterator[torch.Tensor]:
        yield from held(self.model, self.optimizer)
        yield from (factor for a, b, _ in self.before.values() for factor in (a, b))

    def step_adapter(self, step: int) -> Path | None:
        """The adapter after `step` optimizer steps, written when it is not there yet; None for the starting point."""
        if step == 0:
            return None
        folder = self.job.folder / STEPS / f"v{step}"
        return folder if folder.is_dir() else adapters.write(self.model, folder)

    def ask_ahead(self) -> None:
        """Put the questions that nobody has asked yet in this life of the process."""
        for asked in self.progress.asked:
            if asked.step not in self._questions:
                adapter = None if asked.adapter == 0 else self.job.folder / STEPS / f"v{asked.adapter}"
                self._questions[asked.step] = self.pipe.ask(
                    "train",
                    asked.cases,
                    samples=self.job.plan.samples,
                    adapter=adapter,
                    step=asked.adapter,
                    first=asked.first,
                )

    def answered(self, step: int) -> tuple[Asked, tuple[Rollout, ...]]:
        """What was asked for this step, and the rollouts; from here on it is no longer asked for."""
        asked = next(one for one in self.progress.asked if one.step == step)
        rollouts = self.pipe.answer(self._questions.pop(step))
        self.progress.asked.remove(asked)
        return asked, rollouts

    def look(self, step: int) -> float:
        """Mean held-out reward of the adapter after `step` steps; decides whether the training goes on."""
        adapter = self.step_adapter(step)
        with self.aside():
            asked = self.pipe.ask("held_out", self.job.held_out, samples=1, adapter=adapter, step=step)
            reward = self.looked(step, self.pipe.answer(asked))
        self.progress.stopped = reason_to_stop(self.progress.looks, self.job.plan.patience, self.job.plan.steps)
        return reward

    def looked(self, step: int, rollouts: tuple[Rollout, ...]) -> float:
        """Raises ValueError for a mean that is not finite."""
        self.progress.met(rollouts)
        look = Look(step, math.fsum(rollout.reward for rollout in rollouts) / len(rollouts))
        self.progress.looks.append(look)
        return look.reward

    def forget(self, step: int) -> None:
        """Delete step adapters but the best, this one, and those that a checkpoint may go on from."""
        looks, plan = self.progress.looks, self.job.plan
        kept = {step, *(look.step for look in looks[-KEPT_CHECKPOINTS:])}
        # The best there was when each checkpoint was made: a damaged one is passed over for the one before.
        ends = range(len(looks) - KEPT_CHECKPOINTS + 1, len(looks) + 1)
        kept |= {best(looks[:end]).step for end in ends if end > 1}
        # A checkpoint goes on with the questions that were out when it was made.
        kept |= {at - behind for at in set(kept) for behind in range(plan.staleness + 1)}
        # One that was made because the process had to leave lies between two looks.
        kept |= {
            step_of(made) - behind for made in by_step(self.job.checkpoints) for behind in range(plan.staleness + 1)
        }
        for folder in (self.job.folder / STEPS).glob("*"):
            if folder.name not in {f"v{number}" for number in kept}:
                shutil.rmtree(folder)

    def learned_once(self, rollouts: Sequence[Rollout]) -> None:
        """What an offline algorithm learns from, which is the same again when it goes on from a checkpoint."""
        if self.checkpoint is None:
            self.progress.learned(rollouts)

    def footprint(self) -> int:
        """Bytes of a checkpoint with its step adapter: the adapter twice, and two moments a parameter."""
        trained: list[torch.Tensor] = [part for part in self.model.parameters() if part.requires_grad]
        return 4 * sum(part.numel() * part.element_size() for part in trained)

    def finish(self) -> Trained:
        """Publish the best look's adapter. Raises TrainingFailed when it does not differ from the parent."""
        looks = self.progress.looks
        chosen = best(looks)
        folder = self.job.folder / STEPS / f"v{chosen.step}"
        adapters.read(self.model, folder)
        moved = adapters.moved(self.before, adapters.factors(self.model))
        if not all(map(math.isfinite, moved.values())) or not any(moved.values()):
            raise TrainingFailed("the weights did not move: " + _why(moved))
        copy(folder, self.job.out)
        ends = adapters.end_ids(self.model, self.tokenizer)
        return Trained(
            steps=looks[-1].step,
            best_step=chosen.step,
            stopped=self.progress.stopped + ("" if improved(looks) else "; no look was better than the start"),
            held_out_before=looks[0].reward,
            held_out_after=chosen.reward,
            moved=moved,
            data=self.progress.data,
            probe=adapters.probe(self.model, self.progress.prompts, ends),
        )


def _why(moved: dict[str, float]) -> str:
    broken = [name for name, norm in moved.items() if not math.isfinite(norm)]
    return f"{broken[0]} is not finite" if broken else "no group had spread, or every update was zero"


class Rated(Unpickled):
    """Mixed into TRL's trainers: a learning rate that rises linearly and then holds, or falls along a cosine."""

    warmup: int
    cosine: bool

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """In place of transformers' own, whose warm-up spends the first step at a rate of 0."""
        if self.lr_scheduler is None:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer,
                lambda step: rate(step, self.warmup, num_training_steps, self.cosine),
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler


def rate(step: int, warmup: int, steps: int, cosine: bool) -> float:
    """Share of the peak learning rate at the step that follows `step` others."""
    if step < warmup:
        return (step + 1) / warmup
    if not cosine:
        return 1.0
    return (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2


class _Looks(TrainerCallback):
    def __init__(self, training: Training) -> None:
        self._training = training
        self._started = 0.0
        self._waited = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **kwargs: Any) -> None:
        self._training.optimizer = optimizer

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._started, self._waited = time.monotonic(), self._training.pipe.waited
        self._training.values = {}

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Report the optimizer step that just ended, and look at the held-out cases when it is time."""
        if "loss" not in logs:
            return
        training, step = self._training, state.global_step
        progress, pipe = training.progress, training.pipe
        pipe.heed()
        values = self._values(logs)
        wrong = [name for name, value in values.items() if not math.isfinite(value)]
        if wrong:
            raise TrainingFailed(f"{wrong[0]} of step {step} is {values[wrong[0]]}")
        progress.rewards += [values["reward"]] if "reward" in values else []
        seconds = progress.seconds + time.monotonic() - training.started
        early = pipe.stop or ranks.first(tripped(training.job.plan, step, values, progress.rewards, seconds))
        if early or step % training.job.plan.eval_every == 0 or step == training.job.plan.steps:
            values["held_out"] = training.look(step)
            # Asked for while it looked, too.
            progress.stopped = progress.stopped or early or pipe.stop
            control.should_save = True
        control.should_save = control.should_save or pipe.leave
        control.should_training_stop = bool(progress.stopped) or pipe.leave
        pipe.say(Metrics(step=step, values=values))

    def _values(self, logs: dict[str, Any]) -> dict[str, float]:
        training = self._training
        waited = training.pipe.waited - self._waited
        # A step without anything that teaches has no gradient, and TRL's zeros stand for nothing.
        taught = "entropy" in training.values or "useful" not in training.values
        values = _known(logs, () if taught else ("loss", "grad_norm")) | training.values
        took = time.monotonic() - self._started
        values |= ({"rollout_s": waited} if waited else {}) | {"train_s": took - waited, "step_time": took}
        values |= _speeds(values, beforehand=training.job.plan.staleness > 0)
        return values | {"peak_gib": max(ranks.everyone(_peak_gib(training.job.device)))}

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        checkpoint = self._training.job.checkpoints / f"checkpoint-{state.global_step}"
        progress, now = self._training.progress, time.monotonic()
        progress.seconds, self._training.started = progress.seconds + now - self._training.started, now
        for name, kept in self._training.keeps.items():
            save_file(kept.state_dict(), beside(checkpoint, name))
        seal(checkpoint, self._training.progress)
        self._training.forget(state.global_step)


def _speeds(values: Mapping[str, float], beforehand: bool) -> dict[str, float]:
    """Sampled tokens a second of rolling out and of learning. What was rolled out `beforehand` took longer than was waited."""
    spans = {"train_tokens_s": "train_s"} | ({} if beforehand else {"rollout_tokens_s": "rollout_s"})
    return {
        name: values["tokens"] / values[span] for name, span in spans.items() if values.get(span) and "tokens" in values
    }


def _known(logs: dict[str, Any], absent: Collection[str]) -> dict[str, float]:
    names = {"loss", "grad_norm", "learning_rate", "entropy"}.difference(absent)
    return {name: float(logs[name]) for name in sorted(names) if logs.get(name) is not None}


def _peak_gib(device: str) -> float:
    """Most memory this process ever held: on the GPU it trains on, else resident in the machine's."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
