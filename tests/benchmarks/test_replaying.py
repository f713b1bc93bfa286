"""The replay on a tree small enough to reckon by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sia_tui.core.pulls import Pulled, Seen
from tests.benchmarks.bench_advisor import interval, t_interval
from tests.benchmarks.lever_tree import Edge, Node, Tree
from tests.benchmarks.replaying import (
    advisor,
    handing_over,
    only,
    playbook,
    scripted,
    sequences,
    until_it_stalls,
    walk,
)

COUNTS = {"right": 20, "confused": 60, "not_in_sight": 20}


def node(dev: float) -> Node:
    return Node(Seen(dev, COUNTS, False), 100)


@pytest.fixture
def small() -> Tree:
    """The harness gains 20 points at first and nothing after; the weights 30 after that, and the harness then 10 more."""
    root, patched, trained, last = node(0.0), node(0.2), node(0.5), node(0.6)
    root.tries["harness"] = [Edge("harness", 0.2, 1.0, 0.08, patched)]
    root.tries["weights"] = [Edge("weights", None, 2.0, 0.3, root)]
    patched.tries["harness"] = [Edge("harness", None, 1.0, 0.02, patched), Edge("harness", None, 1.0, 0.01, patched)]
    patched.tries["weights"] = [Edge("weights", 0.3, 4.0, 0.3, trained)]
    trained.tries["harness"] = [Edge("harness", 0.1, 1.0, 0.1, last)]
    trained.tries["weights"] = [Edge("weights", None, 4.0, 0.0, trained)]
    return Tree(0, root, (), 0.1)


def pulled(tree: Tree, policy: object, steps: int = 3, budget: float = 100.0) -> tuple[str, float]:
    made = walk(tree, policy, steps, budget)  # type: ignore[arg-type]
    return "".join(turn.lever[0] for turn in made.turns), round(made.gain, 6)


def test_each_policy_walks_as_it_says(small: Tree) -> None:
    assert pulled(small, until_it_stalls) == pulled(small, handing_over) == ("hhw", 0.5)
    assert pulled(small, advisor(()), steps=1) == ("h", 0.2), "nothing was measured: the house rule"
    assert pulled(small, playbook) == ("whw", 0.5), "it promises itself something of a training at once"
    assert pulled(small, only("harness")) == ("hhh", 0.2) and pulled(small, only("weights")) == ("w", 0.0)
    assert pulled(small, scripted(("harness", "weights", "harness"))) == ("hwh", 0.6)


def test_a_step_that_outlasts_the_budget_is_not_counted_and_time_at_a_score_is(small: Tree) -> None:
    made = walk(small, scripted(("harness", "weights", "harness")), 3, 5.5)
    assert (len(made.turns), made.minutes, round(made.gain, 6)) == (2, 5.0, 0.5)
    assert made.area == pytest.approx(0.2 * 4 + 0.5 * 0.5)


def test_what_one_lever_did_before_does_not_depend_on_tries_of_the_other(small: Tree) -> None:
    assert pulled(small, scripted(("weights", "harness", "weights"))) == ("whw", 0.5)
    assert pulled(small, scripted(("harness", "harness", "weights"))) == ("hhw", 0.5)


def test_every_sequence_is_walked(small: Tree) -> None:
    found: set[tuple[Pulled, ...]] = set(sequences(small, 3))
    assert {"".join(lever[0] for lever in levers) for levers in found} == {"hhh", "hhw", "hwh", "hww", "whh", "whw"}


def test_the_interval_is_paired_over_seeds() -> None:
    seeds = np.array([[0.0], [50.0], [100.0]])
    assert interval(seeds + 1, seeds, "+") == "+1.0 [+1.0, +1.0]"
    assert interval(seeds) == "50.0 [0.0, 100.0]"
    assert t_interval(np.array([[1.0, 3.0], [4.0, 4.0], [6.0, 6.0]]), np.zeros((3, 1))) == "[-1.0, +9.0]"
