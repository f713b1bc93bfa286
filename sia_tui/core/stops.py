"""A plan's limits: what is measured of a training, and above what it ends itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sia_tui.core.plans import TrainPlan


@dataclass(frozen=True)
class Limit:
    name: str
    measure: str
    """Of the trainer's metrics; empty for the clock."""
    most: float
    """0: never."""
    unit: str

    def broken(self, value: float | None) -> bool:
        return bool(self.most) and value is not None and value > self.most


def limits(plan: TrainPlan) -> tuple[Limit, ...]:
    return (
        Limit("KL to the base", "kl", plan.stop_kl, "nats a token"),
        Limit("truncated", "completions/clipped_ratio", plan.stop_truncated, "of the completions"),
        Limit("gap of served and trained", GAP, plan.stop_gap, "nats"),
        Limit("wall clock", "", plan.stop_s, "s"),
    )


GAP = "sampling/sampling_logp_difference/mean"
"""Of stale rollouts it is mostly the steps in between, which the importance ratio is there for: then it stops nothing."""


def stale(looks: Sequence[float]) -> int:
    """Held-out rewards since the last one that was above all before it, the starting point included."""
    top, at = looks[0], 0
    for place, reward in enumerate(looks):
        if reward > top:
            top, at = reward, place
    return len(looks) - 1 - at
