"""What is decided without a model: turns, lessons, pairs, when to stop."""

from __future__ import annotations

import math

import pytest

from sia_tui.weights.groups import Turn, has_spread, summary
from sia_tui.weights.lessons import measures, order, pairs, select
from sia_tui.weights.looks import rate
from sia_tui.weights.protocol import Rollout, SampledCall
from sia_tui.weights.stopping import Look, TrainingFailed, best, improved, reason_to_stop, slope, tripped
from tests.weights.bandit import plan


def call(*tokens: int) -> SampledCall:
    return SampledCall(messages=(), prompt_ids=(1, 2), completion_ids=tokens, logprobs=(-1.0,) * len(tokens))


def rollout(reward: float, *calls: SampledCall, case: str = "c0", solved: bool | None = None) -> Rollout:
    won = reward == 1 if solved is None else solved
    return Rollout(case=case, sample=0, reward=reward, solved=won, calls=calls or (call(7),))


@pytest.mark.parametrize("paid", [[1.0, math.nan], [math.inf, 0.0], []])
def test_a_reward_that_is_no_number_is_refused(paid: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        has_spread(paid)


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


def test_a_case_that_comes_round_again_is_known_to() -> None:
    turn = Turn()
    assert turn.before(["a", "b"]) == [0, 0] and turn.before(["b", "c"]) == [1, 0]
    assert Turn.model_validate_json(turn.model_dump_json()).before(["b"]) == [2]


def test_lessons_are_the_best_paid_successes() -> None:
    won = [rollout(1, case="a"), rollout(2, call(9), case="a", solved=True), rollout(3, case="a", solved=False)]
    lost = [rollout(0, case="b"), rollout(0, case="b")]
    assert select([won, lost], seed=0) == [won[1]]
    ties = [[rollout(1, call(number)) for number in range(8)] for _ in range(8)]
    assert select(ties, seed=1) == select(ties, seed=1) != select(ties, seed=2)
    assert measures([won, lost])["pass_n"] == 0.5 and summary([won, lost])["pass_1"] == 0.4
    with pytest.raises(TrainingFailed, match="nothing to clone"):
        select([lost], seed=0)


def test_of_graded_rewards_those_furthest_above_their_case_are_cloned() -> None:
    easy = [rollout(0.9, call(number), case="easy", solved=True) for number in range(3)]
    easy.append(rollout(0.95, call(3), case="easy", solved=True))
    hard = [rollout(reward, call(9), case="hard", solved=reward > 0) for reward in (0.5, 0.4, 0.0, 0.0)]
    none = [rollout(0.0, case="none") for _ in range(4)]
    assert [one.reward for one in select([easy, hard, none], seed=0)] == [0.5, 0.4, 0.95]


def test_what_was_asked_in_vain_before_a_success_is_not_cloned() -> None:
    straight, roundabout = rollout(1.0, call(7)), rollout(1.0, call(8), call(7))
    assert select([[roundabout, straight, roundabout]], seed=0) == [straight]
    assert select([[roundabout]], seed=0) == [roundabout]


def test_a_pair_is_the_call_in_which_two_episodes_part() -> None:
    won, lost = rollout(1, call(5), call(6)), rollout(0, call(5), call(7))
    [(better, worse, pair)] = pairs([[lost, won], [rollout(1), rollout(1)]], seed=0)
    assert (better, worse) == (won, lost)
    assert (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids) == ((1, 2), (6,), (7,))


def test_what_is_paid_alike_or_parts_nowhere_is_no_pair() -> None:
    elsewhere = SampledCall(messages=(), prompt_ids=(9,), completion_ids=(7,), logprobs=(-1.0,))
    silent = Rollout(case="c0", sample=0, reward=0, solved=False, calls=())
    for other in (rollout(0), rollout(0, elsewhere), silent):
        with pytest.raises(TrainingFailed, match="nothing to prefer"):
            pairs([[rollout(1), other]], seed=0)


PLAN = plan(stop_kl=0.1, stop_truncated=0.2, stop_gap=0.05, stop_s=60.0, stop_slope=3)
CALM = {"kl": 0.1, "completions/clipped_ratio": 0.2, "sampling/sampling_logp_difference/mean": 0.05, "staleness": 0.0}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kl": 0.11}, "KL to the base 0.11 nats a token, limit 0.1"),
        ({"completions/clipped_ratio": 0.5}, "truncated 0.5 of the completions"),
        ({"sampling/sampling_logp_difference/mean": 0.06}, "gap of served and trained"),
    ],
)
def test_a_stop_rule_names_what_it_saw(changed: dict[str, float], said: str) -> None:
    assert tripped(PLAN, 1, CALM, [], 60.0) == ""
    assert said in tripped(PLAN, 1, CALM | changed, [], 0.0)
    assert tripped(plan(), 1, CALM | changed, [], 1e9) == ""
    assert "wall clock 61 s" in tripped(PLAN, 1, CALM, [], 61.0)


def test_the_gap_of_stale_rollouts_is_not_the_serving_s() -> None:
    assert tripped(PLAN, 1, CALM | {"sampling/sampling_logp_difference/mean": 0.06, "staleness": 1.0}, [], 0.0) == ""


def test_rewards_that_do_not_rise_by_the_step_named_stop_it() -> None:
    assert "does not rise" in tripped(PLAN, 3, CALM, [0.5, 0.5, 0.4], 0.0)
    assert tripped(PLAN, 3, CALM, [0.5, 0.4, 0.6], 0.0) == "" == tripped(PLAN, 4, CALM, [0.5, 0.5, 0.4, 0.3], 0.0)
    assert tripped(PLAN, 3, CALM, [], 0.0) == "", "an offline training has no rewards to judge"
    assert slope([1.0, 3.0, 5.0]) == pytest.approx(2.0) and slope([1.0]) == 0.0


def test_lessons_come_in_whole_passes() -> None:
    found = order(5, 12, seed=3)
    assert sorted(found[:5]) == sorted(found[5:10]) == list(range(5)) and found[:5] != found[5:10]


def test_a_summary_leaves_out_what_is_not_there() -> None:
    silent = Rollout(case="c0", sample=0, reward=0.5, solved=False, calls=())
    assert summary([[silent, silent]]) == {
        "reward": 0.5,
        "reward_std": 0.0,
        "pass_1": 0.0,
        "useful": 0.0,
        "frac_reward_zero_std": 1.0,
    }


def test_a_summary_has_the_parts_of_a_reward_by_the_rollouts_that_have_them() -> None:
    def paid(reward: float, **parts: float) -> Rollout:
        return Rollout(case="c0", sample=0, reward=reward, solved=False, calls=(), metrics=parts)

    found = summary([[paid(0.5, tone=1.0, exact=0.0), paid(0.0, tone=0.5)], [paid(0.0, **{"\x1b[2J": 1.0})]])
    assert {name: value for name, value in found.items() if "/" in name} == {
        "rewards/exact/mean": 0.0,
        "rewards/tone/mean": 0.75,
    }
    assert "rewards/exact/mean" not in summary([[paid(1.0, exact=1.0), paid(0.0, exact=0.0), paid(0.0)]])
    assert summary([[paid(1.0, tone=1.0), paid(0.0, tone=1.0)]])["rewards/tone/mean"] == 1.0
    many = summary([[paid(1.0, **{f"p{n:02}": 0.0 for n in range(40)})]])
    assert sum(name.startswith("rewards/") for name in many) == 16


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
