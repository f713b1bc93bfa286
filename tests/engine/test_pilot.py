"""What a pilot's rollouts are counted to."""

from __future__ import annotations

import pytest

from sia_tui.core.episodes import Attempt, Call, Case
from sia_tui.core.plans import TrainPlan
from sia_tui.engine.pilot import counted
from sia_tui.weights.protocol import Rollout

PLAN = TrainPlan("grpo", 20, 16, 2, 2000, 80, 1e-3)


def attempt(*lengths: int, seconds: float = 0.5) -> Attempt:
    """Calls that sampled so many tokens each after three of prompt; one of four tokens was cut short."""
    calls = tuple(
        Call(
            (),
            "A",
            (1, 2, 3),
            (7,) * length,
            (-0.1,) * length,
            None,
            1.0,
            1.0,
            4,
            "length" if length == 4 else "stop",
            0.1,
        )
        for length in lengths
    )
    return Attempt(Case("c", "train", {}), "A", "policy", calls, (), None, seconds, "bwrap")


def rollout(reward: float, solved: bool) -> Rollout:
    return Rollout(case="c", sample=0, reward=reward, solved=solved, calls=())


def test_it_keeps_the_rewards_and_says_what_a_rollout_takes() -> None:
    told = [rollout(1, True), rollout(0.5, False), rollout(0.2, False), rollout(0.2, False)]
    made = [attempt(1, 4), attempt(2), attempt(4), attempt(seconds=2.5)]
    seen = counted(PLAN, told, made, side_by_side=2, best=["e1"])
    assert seen.rewards == ((1.0, 0.5), (0.2, 0.2)) and seen.solved == (1, 1, 0) and seen.useful == 0.5
    assert (seen.n, seen.samples, seen.episodes) == (2, 2, ("e1",))
    assert seen.calls == 1 and seen.sampled == 11 / 4 and seen.tokens == (11 + 4 * 3) / 4
    assert seen.truncated == 0.5 and seen.episode_s == 1.0 and seen.seconds == 0.5


def test_rollouts_without_any_call_were_not_cut_short() -> None:
    seen = counted(PLAN, [rollout(0, False)] * 2, [attempt()] * 2, side_by_side=1, best=[])
    assert seen.truncated == seen.calls == seen.tokens == pytest.approx(0)
