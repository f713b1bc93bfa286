"""The tree of levers: from generation 0 both levers are pulled from every state that was reached, to a depth. Live runs.

A run pulls one lever again and again; a branch from each generation that it kept pulls the other one. What a lever does
on a generation after the other one failed there is what it did there at first, so these are all the sequences there are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sia_tui.core.pulls import LEVERS, Pull, Pulled, Seen, Turn, features
from sia_tui.core.recall import recall
from sia_tui.core.state import State, Step
from sia_tui.core.stats import resolvable_gain
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import Workspace
from tests.benchmarks.arms import ENDED, bring_to_its_end, overrides

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
    lever: Pulled
    steps: int


Carry = Callable[[Job], State | None]


@dataclass
class Node:
    """A generation, and what each lever did on it, try by try until one was kept."""

    seen: Seen
    dev_n: int
    tries: dict[Pulled, list[Edge]] = field(default_factory=lambda: {lever: [] for lever in LEVERS})


@dataclass(frozen=True)
class Edge:
    lever: Pulled
    kept: float | None
    """The gain on dev, None where it was not kept."""
    minutes: float
    promised: float
    """By the playbook."""
    to: Node

    @property
    def turn(self) -> Turn:
        return Turn(self.lever, self.kept)


@dataclass(frozen=True)
class Tree:
    seed: int
    root: Node
    rows: tuple[Pull, ...]
    """Every live step once, with the turns of the sequence in which it was made."""
    resolvable: float
    """The gain that its dev tells from noise about half the time."""


def plant(config: Path, seed: int) -> str:
    """Generation 0 of a seed: split, nano policy and run drawn anew. Returns its run's name."""
    root = f"s{seed}"
    settings = SMALL | {"seed": seed, "task.seed": seed, "policy.recipe.seed": seed, "budget.steps": 0}
    bring_to_its_end(root, ["run", str(config), "--name", root, "--headless", *overrides(settings)])
    return root


def grow(root: str, depth: int, carry: Carry) -> Iterator[tuple[Job, State]]:
    """Every run of a tree as it ends, nearest to the root first. Raises LookupError for one that `carry` has not."""
    jobs = [Job(f"{root}-{lever[0]}", root, 0, lever, depth) for lever in LEVERS]
    while jobs:
        job = jobs.pop(0)
        state = carry(job)
        if state is None:
            raise LookupError(job.name)
        yield job, state
        jobs += _branches(job, state)
        jobs.sort(key=lambda job: -job.steps)


def _branches(job: Job, state: State) -> Iterator[Job]:
    """From every generation that the run kept: the other lever, for as many steps as are left."""
    other = LEVERS[1 - LEVERS.index(job.lever)]
    for made, step in enumerate(state.made, 1):
        if _kept(state, step) is not None and made < job.steps:
            index = step.generation
            assert index is not None
            yield Job(f"{job.name}{index}-{other[0]}", job.name, index, other, job.steps - made)


def live(job: Job) -> State:
    """Carried out, or gone on with, or as it ended."""
    settings = {"agents.levers": json.dumps([job.lever]), "budget.steps": job.steps}
    begin = ["branch", job.source, f"g{job.generation}", "--name", job.name, *overrides(settings)]
    bring_to_its_end(job.name, begin)
    state = ended(job)
    assert state is not None
    return state


def ended(job: Job) -> State | None:
    """The run of a job as it lies in the workspace that the environment names; None where it has not ended."""
    paths = Workspace.locate(os.environ.get("SIA_WORKSPACE")).run(job.name)
    if not paths.db.is_file():
        return None
    reader = RunReader(paths.db)
    try:
        state = reader.state()
    finally:
        reader.close()
    return state if state.status in ENDED else None


def tree(seed: int, runs: Mapping[Job, State]) -> Tree:
    """The runs of one seed, parents before their branches, put together."""
    nodes: dict[tuple[str, int], Node] = {}
    turns: dict[tuple[str, int], tuple[Turn, ...]] = {(f"s{seed}", 0): ()}
    rows: list[Pull] = []
    for job, state in runs.items():
        at, so_far = (job.source, job.generation), turns[job.source, job.generation]
        node = nodes.setdefault(at, _node(state, 0))
        measured = {pull.id: pull for pull in recall(state).pulls}
        for step in state.made:
            pull = measured.get(step.id)
            if pull is None:
                continue
            node.seen = Seen(node.seen.dev, step.proposal.clusters, node.seen.adapter)
            rows.append(_row(seed, pull, node.seen, so_far))
            kept = pull.gain if pull.kept else None
            to = node
            if pull.kept:
                assert step.generation is not None
                to = nodes.setdefault((job.name, step.generation), _node(state, step.generation))
            edge = Edge(job.lever, kept, pull.minutes, step.proposal.predicted_gain or 0.0, to)
            node.tries[job.lever].append(edge)
            node, so_far = to, (*so_far, edge.turn)
            if pull.kept:
                turns[job.name, step.generation or 0] = so_far
    root = nodes[f"s{seed}", 0]
    return Tree(seed, root, tuple(rows), resolvable_gain(root.dev_n))


def _node(state: State, index: int) -> Node:
    made = state.generations[index]
    dev = made.results["dev"]
    return Node(Seen(dev.mean, {}, made.adapter is not None), dev.n)


def _row(seed: int, pull: Pull, seen: Seen, so_far: tuple[Turn, ...]) -> Pull:
    now = features(pull.lever, seen, so_far)
    return Pull(pull.id, f"s{seed}", pull.at, pull.lever, now, pull.gain, pull.kept, pull.minutes)


def _kept(state: State, step: Step) -> float | None:
    made = None if step.generation is None else state.generations[step.generation]
    return step.measured.gain if made and made.kept and step.measured else None
