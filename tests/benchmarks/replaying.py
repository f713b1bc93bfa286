"""Policies of levers, and what each would have come to on a tree of levers: exact, for every step was carried out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from sia_tui.agents.advisor import weigh
from sia_tui.agents.playbook import WORTH_A_STEP
from sia_tui.core.pulls import LEVERS, Pull, Pulled, Turn, features, in_sight, stalls
from tests.benchmarks.lever_tree import Edge, Node, Tree


@dataclass
class Walk:
    """A run so far: where it stands, what it spent, what was tried."""

    tree: Tree
    node: Node
    budget: float
    """Minutes."""
    seed: int
    minutes: float = 0.0
    gain: float = 0.0
    area: float = 0.0
    """Gain over minutes, summed up."""
    turns: list[Turn] = field(default_factory=list)
    tried: dict[Pulled, int] = field(default_factory=lambda: dict.fromkeys(LEVERS, 0))
    """Tries on this node."""
    own: list[Pull] = field(default_factory=list)

    @property
    def open(self) -> list[Pulled]:
        """Levers for which there is something left to propose here."""
        return [lever for lever in LEVERS if self.tried[lever] < len(self.node.tries[lever])]

    def next(self, lever: Pulled) -> Edge:
        return self.node.tries[lever][self.tried[lever]]

    def pull(self, edge: Edge) -> bool:
        """Carry it out; False where the budget ends first."""
        if self.minutes + edge.minutes > self.budget:
            return False
        now = features(edge.lever, self.node.seen, self.turns)
        self.own.append(
            Pull(
                f"p-{len(self.own)}",
                "replayed",
                "",
                edge.lever,
                now,
                edge.kept or 0.0,
                edge.kept is not None,
                edge.minutes,
            )
        )
        self.area += self.gain * edge.minutes
        self.minutes += edge.minutes
        self.turns.append(edge.turn)
        self.tried[edge.lever] += 1
        if edge.kept is not None:
            self.node, self.gain, self.tried = edge.to, self.gain + edge.kept, dict.fromkeys(LEVERS, 0)
        return True


Policy = Callable[[Walk], Pulled | None]
"""The lever to pull, None to stop; where nothing can be done with it, the other one is pulled."""


def walk(tree: Tree, policy: Policy, steps: int, budget: float, seed: int = 0) -> Walk:
    """A run of so many steps and minutes, whichever ends first; a step that outlasts the budget is not counted."""
    run = Walk(tree, tree.root, budget, seed)
    while len(run.turns) < steps and run.open:
        lever = policy(run)
        if lever is None or not run.pull(run.next(lever if lever in run.open else run.open[0])):
            break
    run.area += run.gain * (budget - run.minutes)
    return run


def only(lever: Pulled) -> Policy:
    return lambda run: lever if lever in run.open else None


def until_it_stalls(run: Walk) -> Pulled:
    """The harness until a step of it is not kept, then the weights, for good."""
    stalled = any(turn.lever == "harness" and turn.kept is None for turn in run.turns)
    return "weights" if stalled else "harness"


def handing_over(run: Walk) -> Pulled:
    """The lever with fewer stalls, the harness where both have as many."""
    count = {lever: stalls(turn for turn in run.turns if turn.lever == lever) for lever in LEVERS}
    return "weights" if count["weights"] < count["harness"] else "harness"


def playbook(run: Walk) -> Pulled | None:
    """The playbook's own rule (`agents/lever.py`), by what was recorded with its proposals."""
    promised = run.next("weights").promised if "weights" in run.open else 0.0
    if in_sight(run.node.seen.counts) > 0.5 and promised >= run.tree.resolvable:
        return "weights"
    if "harness" in run.open:
        return "harness"
    return "weights" if promised >= WORTH_A_STEP else None


def coin(run: Walk) -> Pulled:
    return random.Random(f"{run.tree.seed}/{run.seed}/{len(run.turns)}").choice(run.open)


def advisor(rows: Sequence[Pull]) -> Policy:
    """As in a run: it learns from other runs' rows and its own."""

    def choose(run: Walk) -> Pulled:
        left = run.budget - run.minutes
        seed = f"{run.tree.seed}/{run.seed}/{len(run.turns)}"
        return weigh([*rows, *run.own], run.node.seen, run.turns, run.open, left, seed).lever

    return choose


def likeliest(rows: Sequence[Pull]) -> Policy:
    """The advisor without a draw."""

    def choose(run: Walk) -> Pulled:
        pays = weigh([*rows, *run.own], run.node.seen, run.turns, run.open).pays
        return max(pays, key=lambda pay: pay.mean).lever

    return choose


def sequences(tree: Tree, steps: int) -> Iterator[tuple[Pulled, ...]]:
    """Every sequence of levers that can be walked to its end."""

    def on(run: tuple[Pulled, ...]) -> Iterator[tuple[Pulled, ...]]:
        made = walk(tree, scripted(run), len(run), float("inf")) if run else Walk(tree, tree.root, 0.0, 0)
        if len(run) == steps or not made.open:
            yield run
            return
        for lever in made.open:
            yield from on((*run, lever))

    return on(())


def scripted(levers: Sequence[Pulled]) -> Policy:
    return lambda run: levers[len(run.turns)] if len(run.turns) < len(levers) else None
