"""What GRPO makes of rewards: advantages inside a group, and which cases are worth another group."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from sia_tui.weights.protocol import Rollout

EPSILON = 1e-4
"""Added to the spread that rewards are divided by, as TRL does."""


def has_spread(rewards: Sequence[float]) -> bool:
    """Whether a group teaches anything. Raises ValueError for a reward that is not finite, or for none at all."""
    if not rewards or not all(map(math.isfinite, rewards)):
        raise ValueError(f"rewards must be finite numbers, got {list(rewards)!r}")
    return max(rewards) > min(rewards)


def advantages(rewards: Sequence[float]) -> list[float]:
    """A_i = (r_i - mean(r)) / (std(r) + EPSILON) inside one group; all zero where rewards are equal.

    Shao et al. 2024 (arXiv 2402.03300), section 4.1.2; std with Bessel's correction, as in TRL 1.16.
    Raises ValueError for a reward that is not finite.
    """
    if not has_spread(rewards):
        return [0.0] * len(rewards)
    mean = math.fsum(rewards) / len(rewards)
    spread = math.sqrt(math.fsum((reward - mean) ** 2 for reward in rewards) / (len(rewards) - 1))
    return [(reward - mean) / (spread + EPSILON) for reward in rewards]


class Turn(BaseModel):
    """Whose turn it is: cases round robin, without those whose last group had no spread.

    A case that was always or never solved will most likely be so again, and its group would teach nothing.
    """

    at: int = 0
    """Place in the list of cases at which the next search begins."""
    aside: set[str] = set()

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

    def saw(self, case: str, rewards: Sequence[float]) -> None:
        if has_spread(rewards):
            self.aside.discard(case)
        else:
            self.aside.add(case)


@dataclass(frozen=True)
class Row:
    """One call of a rollout as GRPO learns from it."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Of the sampled tokens under the policy that sampled them."""
    advantage: float
    share: float
    """Of the row's loss in the step's: 1 / (episodes of the step x calls of its episode)."""
    count: int = 1
    """Equal calls that this row stands for."""


def in_groups(rollouts: Sequence[Rollout], samples: int) -> list[Sequence[Rollout]]:
    return [rollouts[start : start + samples] for start in range(0, len(rollouts), samples)]


def useful(group: Sequence[Rollout]) -> bool:
    return has_spread([rollout.reward for rollout in group])


def rows(groups: Iterable[Sequence[Rollout]]) -> list[Row]:
    """One row a call, of the groups that have spread.

    An episode counts once: its weight is divided evenly over its calls, so the loss is the mean over episodes of the
    mean over calls of the mean over sampled tokens.
    """
    paid = [pair for group in groups if useful(group) for pair in _paid(group)]
    spoke = [
        (advantage, calls) for advantage, rollout in paid if (calls := [c for c in rollout.calls if c.completion_ids])
    ]
    return [
        Row(call.prompt_ids, call.completion_ids, call.logprobs, advantage, 1 / (len(spoke) * len(calls)))
        for advantage, calls in spoke
        for call in calls
    ]


def merged(found: Iterable[Row]) -> list[Row]:
    """Equal calls of one sign made one row, whose gradient is the sum of theirs; in the order they first came.

    Samples of a short answer are mostly equal, and a row costs as much whatever it weighs.
    """
    alike: dict[Any, list[Row]] = {}
    for row in found:
        alike.setdefault((row.prompt_ids, row.completion_ids, row.logprobs, row.advantage > 0), []).append(row)
    return [_one(same) for same in alike.values()]


def _one(same: Sequence[Row]) -> Row:
    share = math.fsum(row.share for row in same)
    advantage = math.fsum(row.advantage * row.share for row in same) / share
    return replace(same[0], advantage=advantage, share=share, count=sum(row.count for row in same))


def _paid(group: Sequence[Rollout]) -> Iterable[tuple[float, Rollout]]:
    return zip(advantages([rollout.reward for rollout in group]), group, strict=True)


def summary(groups: Sequence[Sequence[Rollout]]) -> dict[str, float]:
    """Mean reward, share of groups with spread and mean completion length in tokens of some rollouts."""
    rewards = [rollout.reward for group in groups for rollout in group]
    lengths = [len(call.completion_ids) for group in groups for rollout in group for call in rollout.calls]
    values = {"reward": math.fsum(rewards) / len(rewards), "useful": sum(map(useful, groups)) / len(groups)}
    return values | ({"length": sum(lengths) / len(lengths)} if lengths else {})
