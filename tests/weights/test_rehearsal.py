"""What a pilot's rollouts are made into so that a step can be timed on them, and that trainers make such steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from sia_tui.core.plans import ALGORITHMS, OFFLINE
from sia_tui.weights.groups import in_groups, useful
from sia_tui.weights.protocol import Need, Rollout, SampledCall
from sia_tui.weights.rehearsal import lessons
from tests.weights.bandit import Policy, Reward, job, plan, run_here


def said(case: str, *tokens: int, rewards: tuple[float, ...] = ()) -> list[Rollout]:
    """A rollout a token; none is solved, whatever it is paid."""
    paid = rewards or (0.0,) * len(tokens)
    calls = [SampledCall(messages=(), prompt_ids=(3,), completion_ids=(token,), logprobs=(-0.1,)) for token in tokens]
    return [
        Rollout(case=case, sample=sample, reward=reward, solved=False, calls=(call,))
        for sample, (call, reward) in enumerate(zip(calls, paid, strict=True))
    ]


MUTE = [Rollout(case="c9", sample=sample, reward=0.0, solved=False, calls=()) for sample in range(2)]
SAME, MIXED, RANKED = said("c1", 7, 7), said("c2", 7, 8), said("c3", 7, 8, rewards=(0.2, 0.6))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_groups_are_paid_as_if_they_taught(algorithm: str) -> None:
    found = lessons(plan(algorithm=algorithm), [MUTE, SAME, MIXED, RANKED])
    assert [group[0].case for group in found] == (["c1"] if algorithm == "best_of_n" else []) + ["c2", "c3"]
    mixed, ranked = found[-2:]
    assert [one.reward for one in mixed] == [1.0, 0.0] and [one.reward for one in ranked] == [0.2, 0.6]
    assert [one.solved for one in (*mixed, *ranked)] == [True, False, False, True]
    assert all(useful(group) for group in found[-2:])


def test_a_step_takes_no_more_than_the_plan_says() -> None:
    groups = [said(f"c{number}", 7, 8) for number in range(12)]
    assert lessons(plan(cases_per_step=8), groups) == lessons(plan(cases_per_step=8), groups[:8])
    assert len(lessons(plan(cases_per_step=8), groups)) == 8 and lessons(plan(), [MUTE, SAME]) == []


class Told(Policy):
    """Answers with the same groups whatever adapter asks, as the engine does."""

    def __init__(self, folder: Path, groups: list[list[Rollout]]) -> None:
        super().__init__(folder)
        self._groups = {group[0].case: group for group in groups}

    def roll(self, need: Need, reward: Reward) -> tuple[Rollout, ...]:
        if need.purpose == "held_out":
            return tuple(Rollout(case=case, sample=0, reward=0.0, solved=False, calls=()) for case in need.cases)
        return tuple(one for case in need.cases for one in self._groups[case])


@pytest.mark.parametrize("algorithm", [*sorted(OFFLINE), "grpo", "ppo"])
def test_each_kind_of_algorithm_makes_its_steps_of_rollouts_that_earned_nothing(
    algorithm: str, model: Path, policy: Policy, tmp_path: Path
) -> None:
    asked = plan(algorithm=algorithm, steps=2, samples=4, staleness=0 if algorithm in OFFLINE else 1, value_warmup=0)
    cases = tuple(f"c{number}" for number in range(12))
    need = Need(id=0, adapter=None, step=0, purpose="train", cases=cases, samples=4)
    groups = [list(group) for group in lessons(asked, in_groups(policy.roll(need, lambda _: 0.0), 4))]
    assert len(groups) == asked.cases_per_step
    rehearsal = job(model, tmp_path, asked, cases=tuple(group[0].case for group in groups))
    heard = run_here(rehearsal, Told(model, groups))
    assert len(heard.curve("loss")) == len(heard.curve("train_s")) == len(heard.curve("peak_gib")) == 2, heard.end
    assert min(heard.curve("grad_norm")) > 0
