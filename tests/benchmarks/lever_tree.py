"""The tree of levers: from generation 0 both levers are pulled from every state that was reached, to a depth. Live runs.

A run pulls one lever again and again; a branch from each generation that it kept pulls the other one. What a lever does
on a generation after the other one failed there is what it did there at first, so these are all the sequences there are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sia_tui.core.proposals import Lever
from sia_tui.core.state import State
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import Workspace
from tests.benchmarks.arms import bring_to_its_end, overrides

LEVERS: tuple[Lever, Lever] = ("harness", "weights")
SMALL: dict[str, Any] = {
    "task.limit": 1000,
    "task.dev": 0.25,
    "task.hidden": 0.05,
    "task.folds": 3,
    "evaluate.train": 120,
    "evaluate.hidden": 20,
    "evaluate.open_test": "false",
    "gate.policy": "auto",
    "budget.wall_s": 100_000,
}
"""Over the quick config: a larger dev, which tells gains of a few points; hidden is another question, test stays sealed."""


@dataclass(frozen=True)
class Job:
    """A run that pulls one lever from a generation of another one until `steps` are made."""

    name: str
    source: str
    generation: int
    lever: Lever
    steps: int


def grow(config: Path, seed: int, depth: int) -> Iterator[tuple[Job, State]]:
    """Carry out, or go on with, the tree of one seed; every run as it ends, nearest to the root first."""
    root = f"s{seed}"
    settings = SMALL | {"seed": seed, "task.seed": seed, "policy.recipe.seed": seed, "budget.steps": 0}
    bring_to_its_end(root, ["run", str(config), "--name", root, "--headless", *overrides(settings)])
    jobs = [Job(f"{root}-{lever[0]}", root, 0, lever, depth) for lever in LEVERS]
    while jobs:
        job = jobs.pop(0)
        state = carry_out(job)
        yield job, state
        jobs += branches(job, state)
        jobs.sort(key=lambda job: -job.steps)


def branches(job: Job, state: State) -> Iterator[Job]:
    """From every generation that the run kept: the other lever, for as many steps as are left."""
    other = LEVERS[1 - LEVERS.index(job.lever)]
    for made, step in enumerate(state.made, 1):
        if step.generation is not None and state.generations[step.generation].kept and made < job.steps:
            index = step.generation
            yield Job(f"{job.name}{index}-{other[0]}", job.name, index, other, job.steps - made)


def carry_out(job: Job) -> State:
    settings = {"agents.levers": json.dumps([job.lever]), "budget.steps": job.steps}
    begin = ["branch", job.source, f"g{job.generation}", "--name", job.name, *overrides(settings)]
    bring_to_its_end(job.name, begin)
    return state_of(job.name)


def state_of(run: str) -> State:
    """Of a run in the workspace that the environment names."""
    workspace = Workspace.locate(os.environ.get("SIA_WORKSPACE"))
    reader = RunReader(workspace.existing(run).db)
    try:
        return reader.state()
    finally:
        reader.close()
