"""Rows of an evaluator's fitness from what a verifier paid, and what becomes of those that fail."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core import events as ev
from sia_tui.core import fitness, loop
from sia_tui.core.fold import advance
from sia_tui.core.state import State
from tests.core.story import RULES, START

REWARDS = st.floats(0, 1)
FAILING = fitness.fails("wrong", "a wrong answer earns 1.00", "look at the case")
STARTED = (ev.RunCreated("r", "mine", "c"), ev.TaskReady("s", "t", "v", {"train": 10}))


def after(*events: ev.Event) -> State:
    state = State()
    for number, event in enumerate(events, 1):
        state = advance(state, ev.Recorded(number, START.isoformat(), event))
    return state


@given(st.lists(REWARDS, min_size=1, max_size=9), st.lists(REWARDS, min_size=1, max_size=9))
def test_whoever_pays_wrong_answers_as_well_as_right_ones_is_not_fit(right: list[float], wrong: list[float]) -> None:
    mean = fitness.gold(right).figures["mean"]
    found = fitness.wrong(wrong, mean)
    assert found.ok == (sum(wrong) / len(wrong) < mean / 2 or found.figures["mean"] < mean / 2)


@given(st.lists(st.lists(REWARDS, min_size=2, max_size=5), min_size=1, max_size=6))
def test_noise_is_told_whatever_it_is_and_none_is_none(rows: list[list[float]]) -> None:
    found = fitness.repeats(rows)
    alike = all(max(row) == min(row) for row in rows)
    assert (found.level == "ok") == alike or found.figures["sigma"] < 1e-9
    assert found.ok == (found.figures["sigma"] < fitness.NOISY)


@pytest.mark.parametrize(
    ("n", "level"), [(0, "fails"), (1, "fails"), (2, "amber"), (4, "amber"), (5, "ok"), (800, "ok")]
)
def test_one_case_tells_nothing_and_a_few_next_to_it(n: int, level: str) -> None:
    assert fitness.resolution(n).level == level


@given(st.integers(2, 2000), st.floats(0, 0.5), st.floats(0, 0.5))
def test_more_noise_and_fewer_cases_tell_less(n: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    gain = {sigma: fitness.resolution(n, sigma).figures["gain"] for sigma in (low, high)}
    assert gain[low] <= gain[high]
    assert fitness.resolution(n + 1, low).figures["gain"] < gain[low]


@pytest.mark.parametrize(
    ("best", "level"), [(0.0, "ok"), (0.89, "ok"), (0.9, "amber"), (0.99, "fails"), (1.0, "fails")]
)
def test_a_null_that_earns_all_leaves_no_headroom(best: float, level: str) -> None:
    assert fitness.headroom({"most frequent": best, "other": 0.0}).level == level


def test_what_was_paid_is_named_before_what_went_otherwise() -> None:
    assert fitness.tried("nan", 3, {}).level == "ok"
    odd = fitness.tried("nan", 3, {}, {"slow": "ended as timeout"})
    assert odd.level == "amber" and "slow (ended as timeout)" in odd.found
    paid = fitness.tried("nan", 9, {f"a{n}": "1.00" for n in range(7)}, {"slow": ""})
    assert paid.found == "7 of 9 paid: a0 (1.00), a1 (1.00), a2 (1.00), a3 (1.00), a4 (1.00) and 2 more" and paid.fix


def test_a_failing_row_stops_a_run_before_anything_is_measured_until_its_risk_is_taken() -> None:
    fit = ev.EvaluatorChecked((fitness.ok("gold"), fitness.amber("repeats", "σ", "seed it")), False)
    assert loop.next_action(after(*STARTED), RULES) == loop.CheckEvaluator()
    assert loop.next_action(after(*STARTED, fit), RULES) == loop.MeasureBaselines()
    unfit = replace(fit, findings=(*fit.findings, FAILING))
    assert loop.next_action(after(*STARTED, unfit), RULES) == loop.RefuseEvaluator()
    other, taken = (ev.RiskAccepted(row, "it is known", "me") for row in ("gold", "wrong"))
    assert loop.next_action(after(*STARTED, unfit, other), RULES) == loop.RefuseEvaluator()
    state = after(*STARTED, taken, unfit)
    assert loop.next_action(state, RULES) == loop.MeasureBaselines()
    assert [(risk.light.level, risk.light.detail) for risk in state.risks] == [("amber", "wrong — it is known (me)")]


def test_a_reason_that_is_given_again_takes_the_place_of_the_first() -> None:
    state = after(*STARTED, ev.RiskAccepted("gold", "first", "me"), ev.RiskAccepted("gold", "second", "you"))
    assert [(risk.reason, risk.by) for risk in state.risks] == [("second", "you")]


def test_a_run_of_an_earlier_version_is_not_asked_again() -> None:
    state = after(*STARTED, ev.BaselinesMeasured({}))
    assert state.findings is None and loop.next_action(state, RULES) == loop.PreparePolicy()
