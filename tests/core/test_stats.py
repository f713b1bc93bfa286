"""The laws of means, intervals and paired gains."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from sia_tui.core.stats import estimate, paired_gain, resolvable_gain, t_quantile

REWARD = st.floats(0, 1, allow_nan=False)
BINARY = st.sampled_from([0.0, 1.0])


def pairs(values: st.SearchStrategy[float]) -> st.SearchStrategy[list[tuple[float, float]]]:
    return st.lists(st.tuples(values, values), min_size=2, max_size=60)


def sides(both: list[tuple[float, float]]) -> tuple[dict[str, float], dict[str, float]]:
    return {f"c{i}": old for i, (old, _) in enumerate(both)}, {f"c{i}": new for i, (_, new) in enumerate(both)}


@given(st.lists(REWARD, min_size=1, max_size=80))
def test_an_interval_holds_its_mean_and_stays_in_range(rewards: list[float]) -> None:
    found = estimate(rewards)
    assert 0 <= found.lo <= found.mean + 1e-12 and found.mean - 1e-12 <= found.hi <= 1
    assert found.n == len(rewards) and math.isclose(found.mean, sum(rewards) / len(rewards), abs_tol=1e-9)


@given(pairs(REWARD) | pairs(BINARY))
def test_swapping_the_sides_negates_the_gain(both: list[tuple[float, float]]) -> None:
    old, new = sides(both)
    there, back = paired_gain(old, new), paired_gain(new, old)
    assert math.isclose(there.mean, -back.mean, abs_tol=1e-9)
    assert math.isclose(there.lo, -back.hi, abs_tol=1e-9) and math.isclose(there.hi, -back.lo, abs_tol=1e-9)
    assert (there.fixed, there.broke) == (back.broke, back.fixed)


@given(pairs(REWARD) | pairs(BINARY))
def test_a_gain_lies_in_its_interval_and_counts_its_cases(both: list[tuple[float, float]]) -> None:
    found = paired_gain(*sides(both))
    assert found.lo <= found.mean <= found.hi
    assert len(found.fixed) == sum(new > old for old, new in both)
    assert len(found.broke) == sum(new < old for old, new in both)


@given(st.lists(BINARY, min_size=2, max_size=60))
def test_no_change_is_indecisive(rewards: list[float]) -> None:
    same = {f"c{i}": reward for i, reward in enumerate(rewards)}
    assert paired_gain(same, same).outcome == "indecisive"


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    draw, p_fixed, p_broke, hits, trials = random.Random(3), 0.15, 0.05, 0, 600
    for _ in range(trials):
        changes = [draw.random() for _ in range(200)]
        old = {str(i): float(p_fixed <= change < p_fixed + p_broke) for i, change in enumerate(changes)}
        new = {str(i): float(change < p_fixed) for i, change in enumerate(changes)}
        found = paired_gain(old, new)
        hits += found.lo <= p_fixed - p_broke <= found.hi
    assert 0.92 <= hits / trials <= 0.98


def test_known_values() -> None:
    half = estimate([1.0] * 50 + [0.0] * 50)
    assert (round(half.lo, 4), round(half.hi, 4)) == (0.4038, 0.5962)  # Wilson, from published tables
    assert [round(t_quantile(v), 2) for v in (1, 2, 5, 10, 30, 1000)] == [12.71, 4.30, 2.57, 2.23, 2.04, 1.96]
    assert paired_gain({"a": 0.0}, {"a": 1.0}).outcome == "indecisive"
    assert resolvable_gain(800, 0.2) == pytest.approx(0.031, abs=1e-3)


@pytest.mark.parametrize("rewards", [[], [1.5], [-0.1], [math.nan]])
def test_no_estimate_of_nonsense(rewards: list[float]) -> None:
    with pytest.raises(ValueError):
        estimate(rewards)


def test_a_paired_gain_needs_the_same_cases() -> None:
    with pytest.raises(ValueError, match="same cases"):
        paired_gain({"a": 1.0}, {"b": 1.0})
    with pytest.raises(ValueError, match="no cases"):
        paired_gain({}, {})


@given(st.integers(1, 400), st.sampled_from([0.9, 0.95, 0.99, 1 - 0.05 / 3]))
def test_t_quantiles_are_those_of_scipy(freedom: int, level: float) -> None:
    assert t_quantile(freedom, level) == pytest.approx(t.ppf((1 + level) / 2, freedom), rel=1e-9)


def test_more_looks_make_wider_intervals() -> None:
    old = {str(case): float(case % 2) for case in range(40)}
    for new in ({case: 1.0 for case in old}, {case: 0.3 + 0.01 * int(case) for case in old}):
        one, three = paired_gain(old, new), paired_gain(old, new, looks=3)
        assert three.lo < one.lo < one.hi < three.hi and three.mean == one.mean
