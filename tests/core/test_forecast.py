"""A record says how far a promise may be believed: few and noisy measurements leave the prior, many sure ones replace it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_tui.core.forecast import MOST, PRIOR, WEIGHT, Forecast, track, tracks
from sia_tui.core.memo import told


def made(predicted: float, gain: float, half: float = 0.0, agent: str = "playbook", **more: object) -> Forecast:
    plain = Forecast("p-1", "r", "", agent, "harness", "a patch", predicted, gain, gain - half, gain + half)
    return replace(plain, **more)  # type: ignore[arg-type]


gains = st.floats(-1, 1, allow_subnormal=False)
forecasts = st.lists(st.builds(made, gains, gains, st.floats(0, 0.5)), max_size=12)


@settings(max_examples=25)
@given(forecasts, st.randoms())
def test_the_order_of_what_was_measured_makes_no_difference(held: list[Forecast], random: object) -> None:
    mixed = list(held)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert track(mixed, "playbook", "harness", "t") == track(held, "playbook", "harness", "t")


@settings(max_examples=25)
@given(forecasts)
def test_the_factor_lies_between_the_prior_and_what_was_seen(held: list[Forecast]) -> None:
    record = track(held, "playbook", "harness", "t")
    seen = [PRIOR, *(one.ratio for one in held if one.ratio is not None)]
    assert min(seen) - 1e-9 <= record.factor <= max(seen) + 1e-9 and -MOST <= record.factor <= MOST
    assert 0 <= record.signs <= record.n == len(held)


def test_nothing_measured_leaves_the_prior_and_says_so() -> None:
    record = track([], "playbook", "weights", "t")
    assert record.factor == PRIOR and record.discounted(0.08) == pytest.approx(0.04)
    assert told(record) == "none measured yet, a promise counts ×0.5"


def test_sure_measurements_replace_the_prior_and_noise_does_not() -> None:
    sure = track([made(0.1, 0.1)] * 50, "playbook", "harness", "t")
    assert sure.factor == pytest.approx((WEIGHT * PRIOR + 50) / (WEIGHT + 50)) and sure.factor > 0.95
    blurred = track([made(0.001, 0.002, half=0.05)] * 5, "playbook", "harness", "t")
    assert blurred.factor == pytest.approx(PRIOR, abs=0.01), "a promise that dev cannot resolve says nothing"


def test_one_surprise_counts_no_more_than_twice_its_promise() -> None:
    assert track([made(0.08, 0.41)], "playbook", "harness", "t").factor == pytest.approx((WEIGHT * PRIOR + MOST) / 3)


@pytest.mark.parametrize(
    ("predicted", "gain", "half", "right"),
    [
        (0.1, 0.02, 0, True),
        (0.1, -0.02, 0, False),
        (-0.1, -0.2, 0, True),
        (0.1, 0.0, 0, False),
        (0.0, 0.01, 0.02, True),
    ],
)
def test_a_sign_is_right_or_wrong(predicted: float, gain: float, half: float, right: bool) -> None:
    assert made(predicted, gain, half).sign_right is right


def test_sign_size_and_cost_are_told_by_agent_and_lever() -> None:
    held = [
        made(0.1, 0.05, range=(0.02, 0.12), predicted_cost={"calls": 2.0}, cost={"calls": 4.0, "tokens": 3.0}),
        made(0.1, 0.15, range=(0.02, 0.12), predicted_cost={"calls": 2.0}, cost={"calls": 1.0}),
        made(0.1, -0.05),
        made(0.1, 0.1, agent="other"),
    ]
    other, mine = tracks(held, "t")
    assert (other.name, mine.name, mine.signs, mine.ranged, mine.inside) == (
        "other/harness",
        "playbook/harness",
        2,
        2,
        1,
    )
    assert mine.cost == {"calls": pytest.approx(1.0)}
    assert told(mine) == "2 of 3 signs right, 1 of 2 in the range, gains ×0.5 of predicted, calls ×1.0 of predicted"
    assert told(other) == "1 of 1 sign right so far, gains ×0.7 of predicted"
