"""A plan's first two optimizer steps, made before anybody is asked: what they take is measured, what they make is dropped.

It is a training like any other, but for where the rollouts come from, which the trainer never knows: it is told those of
the pilot, asks for more after its second step, and is ended there.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sia_tui.core.plans import Rehearsal, TrainPlan
from sia_tui.core.room import DiskFull
from sia_tui.core.text import one_line
from sia_tui.engine.planning import PEAK_GIB, STEP_SECONDS
from sia_tui.engine.trainer import Trainer, TrainerDied
from sia_tui.weights import protocol as wire

STEPS = 2
TRIES = 2
"""Starts of the trainer: one may be killed by accident."""

Hear = Callable[[Trainer], Awaitable[wire.Said]]
"""The next thing that a trainer says; raises TrainerDied."""


def rehearsed(plan: TrainPlan) -> TrainPlan:
    """The plan, whose steps all learn in full from the first one on."""
    return replace(plan, value_warmup=0)


async def rehearse(job: wire.Job, groups: Sequence[Sequence[wire.Rollout]], log: Path, hear: Hear) -> Rehearsal:
    """Two steps on these groups, which are those of the job's cases. `job.folder` is gone afterwards.

    A trainer that dies is a finding, not an error; what `hear` raises beside TrainerDied is let through. Raises DiskFull.
    """
    learned = replace(job.plan, cases_per_step=len(groups)).learned
    began, fault, steps = time.monotonic(), "", list[Mapping[str, float]]()
    for _ in range(TRIES):
        try:
            steps, fault = await _steps(job, groups, log, hear)
            break
        except TrainerDied as death:
            fault = one_line(str(death), 500)
        finally:
            shutil.rmtree(job.folder, ignore_errors=True)
    return Rehearsal(
        steps=len(steps),
        learned=learned,
        # The first one warms up.
        step_s=min((values[STEP_SECONDS] for values in steps), default=0.0),
        peak_gib=max((values[PEAK_GIB] for values in steps), default=0.0),
        seconds=time.monotonic() - began,
        fault=fault,
    )


async def _steps(
    job: wire.Job, groups: Sequence[Sequence[wire.Rollout]], log: Path, hear: Hear
) -> tuple[list[Mapping[str, float]], str]:
    """The measures of each step, and what the trainer says failed."""
    told, steps = {group[0].case: group for group in groups}, list[Mapping[str, float]]()
    async with Trainer(job, log) as trainer:
        while len(steps) < STEPS:
            match await hear(trainer):
                case wire.Need() as need:
                    await trainer.tell(_answer(need, told))
                case wire.Metrics(step=made, values=values) if made:
                    steps.append(values)
                case wire.Failed(reason=reason):
                    return steps, one_line(reason, 500)
                case wire.Full(reason=reason):
                    raise DiskFull(reason)
                case wire.Trained():
                    break
                case _:
                    pass
    return steps, ""


def _answer(need: wire.Need, told: Mapping[str, Sequence[wire.Rollout]]) -> wire.Told:
    """Looks at the held-out cases are answered with nothing: they decide nothing here."""
    if need.purpose == "held_out":
        nothing = (wire.Rollout(case=case, sample=0, reward=0.0, solved=False, calls=()) for case in need.cases)
        return wire.Told(id=need.id, rollouts=tuple(nothing))
    return wire.Told(id=need.id, rollouts=tuple(one for case in need.cases for one in told[case]))
