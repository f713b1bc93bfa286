"""What waits for a person although dev says better."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core import events as ev
from sia_tui.core.plans import TrainPlan
from sia_tui.core.proposals import Preview, Proposal
from sia_tui.core.state import Step
from sia_tui.core.surprise import surprising

PATCH = Proposal("harness", "t", "r", "idea", "c0", patch="--- a\n+++ b\n")
SEEN = Preview(120, 0.10, 0.15, 0.05, -0.02, 0.12, (), (), 10.0, 10.0)
STEP = Step("p", PATCH, preview=SEEN)


def found(gain: float, half: float = 0.02) -> ev.Measured:
    return ev.Measured("p", 1, "better", gain, gain - half, gain + half, 800, (), ())


def test_dev_far_above_train_is_held_and_dev_like_train_is_not() -> None:
    assert "standard errors apart" in surprising(STEP, found(0.42), 0.1, 4.0, None)
    assert surprising(STEP, found(0.08), 0.1, 4.0, None) == ""
    assert surprising(STEP, found(0.42), 0.1, 40.0, None) == ""


def test_a_large_gain_that_train_showed_too_is_believed() -> None:
    plan = TrainPlan("best_of_n", steps=40, cases_per_step=8, samples=4, cases=60, learning_rate=1e-3, held_out=80)
    trained = ev.AdapterTrained("p", "sha", 40, 40, "all steps made", 0.05, 0.5, 100, 9.0, 14, 14, 1e-5)
    weights = Step("p", replace(PATCH, lever="weights", patch=None, plan=plan), trained=trained)
    assert surprising(weights, found(0.42), 0.08, 4.0, None) == ""
    assert surprising(replace(weights, trained=replace(trained, held_out_after=0.06)), found(0.42), 0.08, 4.0, None)


def test_more_than_the_config_holds_for_possible_is_held_whatever_train_says() -> None:
    assert "above 90.0" in surprising(STEP, found(0.05), 0.88, 4.0, 0.9)
    assert surprising(Step("p", replace(PATCH, lever="both")), found(0.5), 0.1, 4.0, 0.9) == ""


@given(st.floats(-0.5, 0.5), st.floats(0.001, 0.3), st.floats(0.5, 10))
def test_a_worse_or_equal_dev_never_surprises(below: float, half: float, sigmas: float) -> None:
    assert surprising(STEP, found(min(SEEN.gain, below), half), 0.1, sigmas, None) == ""
