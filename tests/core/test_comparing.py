"""What was measured again against what was recorded, and gains over several draws."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core.comparing import Draw, Evidence, pooled, repeated

REWARDS = st.lists(st.sampled_from([0.0, 1.0]), min_size=3, max_size=40)


@dataclass(frozen=True)
class Row:
    case_id: str
    answer: str | None
    reward: float


def rows(rewards: list[float], said: str = "a") -> list[Row]:
    return [Row(f"c{number:02d}", said, reward) for number, reward in enumerate(rewards)]


@given(REWARDS)
def test_the_same_answers_reproduce(rewards: list[float]) -> None:
    found = repeated(rows(rewards), list(reversed(rows(rewards))))
    assert found.holds and found.same == len(rewards) and not found.differing
    assert found.recorded == found.again and found.gain.mean == 0


def test_other_answers_are_named_and_another_score_does_not_reproduce() -> None:
    found = repeated(rows([0.0] * 40), rows([0.0] * 20, "b") + rows([0.0] * 40)[20:])
    assert found.holds and (found.same, len(found.differing)) == (20, 20)
    assert not repeated(rows([0.0] * 40), rows([1.0] * 20 + [0.0] * 20)).holds
    assert not repeated(rows([1.0] * 40), rows([0.0] * 20 + [1.0] * 20)).holds
    with pytest.raises(ValueError, match="same cases"):
        repeated(rows([0.0] * 3), rows([0.0] * 4))


def by_case(rewards: list[float]) -> dict[str, float]:
    return {f"c{number:02d}": reward for number, reward in enumerate(rewards)}


@given(REWARDS, REWARDS)
def test_drawing_the_same_again_makes_nothing_surer(old: list[float], new: list[float]) -> None:
    n = min(len(old), len(new))
    draw = Draw(0, by_case(old[:n]), by_case(new[:n]))
    once, thrice = Evidence(1, 0, (draw,)), Evidence(1, 0, (draw, draw, draw))
    assert thrice.pooled == once.pooled == draw.gain and thrice.moved == 0


@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=4))
def test_pooling_is_the_mean_by_case(draws: list[list[float]]) -> None:
    found = pooled([by_case(draw) for draw in draws])
    for number, case in enumerate(found):
        assert found[case] == pytest.approx(sum(draw[number] for draw in draws) / len(draws))
    with pytest.raises(ValueError, match="same cases"):
        pooled([by_case(draws[0]), by_case([0.5] * 3)])


def test_cases_that_the_seed_moves_are_counted() -> None:
    one = Draw(0, by_case([0.0, 0.0, 1.0]), by_case([0.0, 1.0, 1.0]))
    other = Draw(1, by_case([0.0, 1.0, 1.0]), by_case([0.0, 1.0, 0.0]))
    assert Evidence(1, 0, (one, other)).moved == 2
