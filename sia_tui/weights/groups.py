"""Groups: the rollouts of one case under one adapter, which cases are worth another one, and what a step's were like."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from pydantic import BaseModel

from sia_tui.weights.protocol import Rollout

PART, MOST_PARTS = re.compile(r"[\w.-]{1,24}"), 16
"""What a verifier's figure is called to be drawn, and how many are."""


def has_spread(rewards: Sequence[float]) -> bool:
    """Whether a group teaches anything. Raises ValueError for a reward that is not finite, or for none at all."""
    if not rewards or not all(map(math.isfinite, rewards)):
        raise ValueError(f"rewards must be finite numbers, got {list(rewards)!r}")
    return max(rewards) > min(rewards)


class Turn(BaseModel):
    """Whose turn it is: cases round robin, without those whose last group had no spread.

    A case that was always or never solved will most likely be so again, and its group would teach nothing.
    """

    at: int = 0
    """Place in the list of cases at which the next search begins."""
    aside: set[str] = set()
    times: dict[str, int] = {}
    """How often a case was taken."""

    def take(self, cases: Sequence[str], n: int) -> list[str]:
        """The next `n` distinct cases, fewer only where there are fewer. Too few left: all are let in again."""
        n = min(n, len(cases))
        if len(cases) - len(self.aside) < n:
            self.aside.clear()
        taken: list[str] = []
        while len(taken) < n:
            case = cases[self.at % len(cases)]
            self.at = (self.at + 1) % len(cases)
            if case not in self.aside and case not in taken:
                taken.append(case)
        return taken

    def before(self, cases: Sequence[str]) -> list[int]:
        """How often each of these was taken before; they count as taken from here on."""
        found = [self.times.get(case, 0) for case in cases]
        self.times.update({case: times + 1 for case, times in zip(cases, found, strict=True)})
        return found

    def saw(self, case: str, rewards: Sequence[float]) -> None:
        if has_spread(rewards):
            self.aside.discard(case)
        else:
            self.aside.add(case)


def in_groups(rollouts: Sequence[Rollout], samples: int) -> list[Sequence[Rollout]]:
    return [rollouts[start : start + samples] for start in range(0, len(rollouts), samples)]


def useful(group: Sequence[Rollout]) -> bool:
    return has_spread([rollout.reward for rollout in group])


def summary(groups: Sequence[Sequence[Rollout]]) -> dict[str, float]:
    """Rewards and their parts, share solved and of groups with spread, and completions of some rollouts, by the names TRL
    gives them."""
    rollouts = [rollout for group in groups for rollout in group]
    rewards = [rollout.reward for rollout in rollouts]
    calls = [call for rollout in rollouts for call in rollout.calls]
    mean, taught = math.fsum(rewards) / len(rewards), sum(map(useful, groups)) / len(groups)
    values = {
        "reward": mean,
        "reward_std": math.sqrt(math.fsum((reward - mean) ** 2 for reward in rewards) / len(rewards)),
        "pass_1": sum(rollout.solved for rollout in rollouts) / len(rollouts),
        "useful": taught,
        "frac_reward_zero_std": 1 - taught,
        **_parts(rollouts),
    }
    if calls:
        lengths = sorted(len(call.completion_ids) for call in calls)
        values["tokens"] = sum(lengths)
        values["completions/mean_length"] = sum(lengths) / len(calls)
        values["completions/p95_length"] = lengths[math.ceil(0.95 * len(calls)) - 1]
        values["completions/clipped_ratio"] = sum(call.truncated for call in calls) / len(calls)
    return values


def _parts(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """The mean of each figure a verifier gives beside the reward, over the rollouts that have it; none where the only one
    is the reward again."""
    found: dict[str, list[float]] = {}
    for rollout in rollouts:
        for name, value in rollout.metrics.items():
            if PART.fullmatch(name):
                found.setdefault(name, []).append(value)
    if len(found) == 1 and all(rollout.reward in rollout.metrics.values() for rollout in rollouts if rollout.metrics):
        return {}
    return {f"rewards/{name}/mean": math.fsum(found[name]) / len(found[name]) for name in sorted(found)[:MOST_PARTS]}
