"""What is decided without a model: advantages, turns, lessons, when to stop."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.weights import groups
from sia_tui.weights.groups import Row, Turn, advantages, merged, rows, summary
from sia_tui.weights.lessons import measures, order, select
from sia_tui.weights.looks import rate
from sia_tui.weights.protocol import Rollout, SampledCall
from sia_tui.weights.stopping import Look, TrainingFailed, best, improved, reason_to_stop

rewards = st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=16)


def call(*tokens: int) -> SampledCall:
    return SampledCall(messages=(), prompt_ids=(1, 2), completion_ids=tokens, logprobs=(-1.0,) * len(tokens))


def rollout(reward: float, *calls: SampledCall, case: str = "c0", solved: bool | None = None) -> Rollout:
    won = reward == 1 if solved is None else solved
    return Rollout(case=case, sample=0, reward=reward, solved=won, calls=calls or (call(7),))


@given(rewards)
def test_advantages_are_centred_and_of_unit_spread(paid: list[float]) -> None:
    found = advantages(paid)
    assert abs(math.fsum(found)) < 1e-6 * len(paid)
    if max(paid) == min(paid):
        assert found == [0.0] * len(paid)
    else:
        mean = sum(paid) / len(paid)
        spread = math.sqrt(sum((reward - mean) ** 2 for reward in paid) / (len(paid) - 1))
        again = math.sqrt(sum(value**2 for value in found) / (len(paid) - 1))
        assert again == pytest.approx(spread / (spread + groups.EPSILON), rel=1e-6)
        assert found.index(max(found)) == paid.index(max(paid))


@pytest.mark.parametrize("paid", [[1.0, math.nan], [math.inf, 0.0], []])
def test_a_reward_that_is_no_number_is_refused(paid: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        advantages(paid)


def test_an_episode_counts_once_however_many_calls_it_made() -> None:
    many = rollout(1, call(5), call(6, 7), call(8))
    found = rows([[many, rollout(0)], [rollout(1), rollout(1)]])
    assert [row.completion_ids for row in found] == [(5,), (6, 7), (8,), (7,)]
    assert [row.share for row in found] == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert found[0].advantage == -found[3].advantage > 0


def test_an_episode_that_said_nothing_is_in_the_baseline_only() -> None:
    silent = Rollout(case="c0", sample=0, reward=0, solved=False, calls=())
    found = rows([[silent, rollout(1)]])
    assert [(row.share, row.advantage > 0) for row in found] == [(1.0, True)]
    assert rows([[silent, silent]]) == []


@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.5, 2.0]), st.sampled_from([0.1, 0.3]), st.integers(1, 3))))
def test_merging_equal_calls_keeps_each_sign_s_sum(found: list[tuple[float, float, int]]) -> None:
    before = [Row((1,), (token,), (-1.0,), advantage, share) for advantage, share, token in found]
    after = merged(before)
    assert sum(row.count for row in after) == len(before)
    for token in (1, 2, 3):
        for sign in (True, False):
            pick = [
                [
                    row.advantage * row.share
                    for row in some
                    if row.completion_ids[0] == token and (row.advantage > 0) == sign
                ]
                for some in (before, after)
            ]
            assert sum(pick[1]) == pytest.approx(sum(pick[0])) and len(pick[1]) <= 1


def test_cases_take_turns_and_settled_ones_are_let_in_again() -> None:
    turn, cases = Turn(), ["a", "b", "c", "d"]
    assert turn.take(cases, 3) == ["a", "b", "c"]
    turn.saw("a", [1, 1])
    turn.saw("b", [0, 0])
    turn.saw("c", [0, 1])
    assert turn.take(cases, 2) == ["d", "c"]
    turn.saw("d", [1, 1])
    assert turn.take(cases, 2) == ["d", "a"] and not turn.aside
    assert turn.take(cases, 9) == ["b", "c", "d", "a"]
    assert Turn.model_validate_json(turn.model_dump_json()) == turn


def test_lessons_are_the_best_paid_successes() -> None:
    won = [rollout(1, case="a"), rollout(2, call(9), case="a", solved=True), rollout(3, case="a", solved=False)]
    lost = [rollout(0, case="b"), rollout(0, case="b")]
    assert select([won, lost], seed=0) == [won[1]]
    ties = [[rollout(1, call(number)) for number in range(8)] for _ in range(8)]
    assert select(ties, seed=1) == select(ties, seed=1) != select(ties, seed=2)
    assert measures([won, lost])["pass_n"] == 0.5
    with pytest.raises(TrainingFailed, match="nothing to clone"):
        select([lost], seed=0)


def test_what_was_asked_in_vain_before_a_success_is_not_cloned() -> None:
    straight, roundabout = rollout(1.0, call(7)), rollout(1.0, call(8), call(7))
    assert select([[roundabout, straight, roundabout]], seed=0) == [straight]
    assert select([[roundabout]], seed=0) == [roundabout]


def test_lessons_come_in_whole_passes() -> None:
    found = order(5, 12, seed=3)
    assert sorted(found[:5]) == sorted(found[5:10]) == list(range(5)) and found[:5] != found[5:10]


def test_a_summary_leaves_out_what_is_not_there() -> None:
    silent = Rollout(case="c0", sample=0, reward=0.5, solved=False, calls=())
    assert summary([[silent, silent]]) == {"reward": 0.5, "useful": 0.0}


def looks(*found: float) -> list[Look]:
    return [Look(2 * place, reward) for place, reward in enumerate(found)]


def test_it_stops_when_patience_is_over() -> None:
    assert reason_to_stop(looks(0.5, 0.6, 0.6), 2, 100) == ""
    assert reason_to_stop(looks(0.5, 0.6, 0.6, 0.55), 2, 100) == "no new best in 2 looks"
    assert reason_to_stop(looks(0.5, 0.4), 2, 2) == "all 2 steps done"
    assert reason_to_stop(looks(0.5), 1, 10) == ""


def test_the_best_look_is_the_later_of_equals_and_never_the_start() -> None:
    assert best(looks(0.9, 0.6, 0.6, 0.5)).step == 4
    assert not improved(looks(0.9, 0.6)) and not improved(looks(0.6, 0.6)) and improved(looks(0.5, 0.6))
    with pytest.raises(ValueError, match="held-out"):
        Look(2, math.nan)


def test_the_rate_rises_then_holds_or_falls() -> None:
    assert [rate(step, 2, 10, False) for step in range(4)] == [0.5, 1.0, 1.0, 1.0]
    falling = [rate(step, 2, 10, True) for step in range(10)]
    assert falling[:3] == [0.5, 1.0, 1.0] and falling[2:] == sorted(falling[2:], reverse=True) and falling[-1] > 0
    assert rate(0, 1, 1, True) == 1.0
