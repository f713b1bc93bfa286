"""What an optimizer step can be timed on: a pilot's groups, each paid as if it taught something.

What a step takes depends on what was said and hardly on what it earned; and in a training the cases that teach nothing
are soon set aside.
"""

from __future__ import annotations

from collections.abc import Sequence

from sia_tui.core.plans import TrainPlan
from sia_tui.weights.groups import useful
from sia_tui.weights.lessons import pairs, select
from sia_tui.weights.protocol import Rollout
from sia_tui.weights.stopping import TrainingFailed

Group = Sequence[Rollout]


def lessons(plan: TrainPlan, groups: Sequence[Group]) -> list[Group]:
    """As many groups as a step of the plan takes, fewer where there are fewer: those left out hold nothing to learn from
    whatever they earn, because nothing was said in them, or (but for cloning) always the same."""
    return [paid for group in groups if _teaches(plan, paid := _paid(group))][: plan.cases_per_step]


def _paid(group: Group) -> Group:
    """With spread, its own rewards; without, 1 for what the first said and 0 for anything else. The best paid solved it."""
    rewards = [one.reward if useful(group) else float(_said(one) == _said(group[0])) for one in group]
    best = max(rewards)
    return [
        one.model_copy(update={"reward": paid, "solved": paid == best})
        for one, paid in zip(group, rewards, strict=True)
    ]


def _said(rollout: Rollout) -> tuple[tuple[int, ...], ...]:
    return tuple(call.completion_ids for call in rollout.calls)


def _teaches(plan: TrainPlan, group: Group) -> bool:
    try:
        match plan.algorithm:
            case "best_of_n":
                return bool(select([group], plan.seed))
            case "dpo":
                return bool(pairs([group], plan.seed))
            case _:
                return useful(group)
    except TrainingFailed:
        return False
