"""A step of both levers: three candidates, one of them kept at most, and what each lever brought."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core import events as ev
from sia_tui.core.attribution import Mix, Pair, apart, attribution, pairs, told
from sia_tui.core.fold import advance, fold
from sia_tui.core.state import State, undecided
from tests.core.story import tell_story


@st.composite
def logs(draw: st.DrawFn) -> list[ev.Recorded]:
    return tell_story(lambda options: draw(st.sampled_from(["both"] if "both" in options else options)))


@given(logs())
def test_of_the_candidates_the_best_is_kept_or_none(log: list[ev.Recorded]) -> None:
    state = fold(log)
    for step in state.steps:
        kept = [index for index in step.candidates if state.generations[index].kept]
        assert not undecided(state, step) and step.closed
        assert kept in ([], [step.generation])
        if kept:
            best = max(step.measures, key=lambda found: found.lo)
            assert kept == [best.generation] and best.outcome != "worse"


@given(logs())
def test_a_step_is_open_until_its_last_candidate_is_decided(log: list[ev.Recorded]) -> None:
    state = State()
    for entry in log:
        state = advance(state, entry)
        for step in state.steps:
            assert not (step.closed and undecided(state, step))
            assert len(step.candidates) <= 3


def test_the_table_tells_each_lever_apart() -> None:
    log = tell_story(lambda options: "both" if "both" in options else "better" if "better" in options else options[0])
    state = fold(log)
    step = next(step for step in state.steps if step.proposal.lever == "both")
    gains = {"harness": 0.10, "weights": 0.15, "both": 0.40}
    measures = tuple(
        replace(found, gain=gains[state.generations[found.generation].lever or ""], lo=0.01, hi=0.5)
        for found in step.measures
    )
    found = attribution(state, replace(step, measures=measures))
    assert found is not None and found.together is not None and round(found.together, 9) == 0.15
    assert told(found) == [
        "dev          old weights                  new weights",
        "old harness  50.0 %                       65.0 % +15.0 [+1.0, +50.0]",
        "new harness  60.0 % +10.0 [+1.0, +50.0]   90.0 % +40.0 [+1.0, +50.0]",
        "together +15.0 beyond the sum of each alone",
    ]


def test_a_cell_whose_code_does_not_begin_is_said_so() -> None:
    log = tell_story(lambda options: "both" if "both" in options else "better" if "better" in options else options[0])
    state = fold(log)
    step = next(step for step in state.steps if step.proposal.lever == "both")
    alone = tuple(found for found in step.measures if state.generations[found.generation].lever == "weights")
    found = attribution(state, replace(step, measures=alone))
    assert found is not None and found.together is None and "does not begin" in told(found)[2]
    single = next((step for step in state.steps if step.proposal.lever != "both"), None)
    assert single is None or attribution(state, single) is None


@pytest.mark.parametrize("harness_first", [True, False])
def test_a_kept_pair_of_steps_lacks_the_second_lever_alone(harness_first: bool) -> None:
    order = ("harness", "weights") if harness_first else ("weights", "harness")
    found = pairs(fold(tell_story(in_turn(*order))))
    first = found[0]
    assert (first.old, first.between, first.new, first.harness_first) == (0, 1, 2, harness_first)
    assert first.missing == (Mix(0, 2) if harness_first else Mix(2, 0))
    assert [(pair.between, pair.new) for pair in found] == [(1, 2), (2, 3), (3, 4)]


def in_turn(*levers: str) -> Callable[[list[object]], object]:
    """A world that proposes these levers over and over, and keeps every step."""
    turn = itertools.cycle(levers)
    return lambda options: next(turn) if "both" in options else "better" if "better" in options else options[0]


REWARDS = st.lists(st.sampled_from([0.0, 1.0]), min_size=8, max_size=8)


@given(REWARDS, REWARDS, REWARDS, REWARDS, st.booleans())
def test_the_cells_of_a_pair_add_up(
    old: list[float], between: list[float], new: list[float], missing: list[float], harness_first: bool
) -> None:
    cells = [dict(enumerate(rewards)) for rewards in (old, between, new, missing)]
    named = [{str(case): reward for case, reward in cell.items()} for cell in cells]
    found = apart(Pair(0, 1, 2, harness_first), *named)
    assert found.harness and found.weights and found.both and found.interaction and found.together is not None
    first, second = (found.harness, found.weights) if harness_first else (found.weights, found.harness)
    means = [sum(cell.values()) / 8 for cell in named]
    assert first.gain == pytest.approx(means[1] - means[0]) and second.gain == pytest.approx(means[3] - means[0])
    assert found.both.gain == pytest.approx(means[2] - means[0])
    assert found.interaction.gain == pytest.approx(found.together)
    assert found.interaction.lo <= found.interaction.gain <= found.interaction.hi
    without = apart(Pair(0, 1, 2, harness_first), *named[:3], None)
    assert without.together is None and "not measured" in "".join(told(without))
