"""When a training has had its best: decided from the held-out rewards it was looked at with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """Mean reward of the held-out cases after `step` optimizer steps; step 0 is the starting point."""

    step: int
    reward: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.reward):
            raise ValueError(f"the held-out reward after {self.step} steps is {self.reward}")


def best(looks: Sequence[Look]) -> Look:
    """The best look after the start; of equal ones the later. Raises ValueError when there is none."""
    return max((look for look in looks if look.step > 0), key=lambda look: (look.reward, look.step))


def improved(looks: Sequence[Look]) -> bool:
    """Whether any look is above the starting point."""
    return best(looks).reward > looks[0].reward


def stale(looks: Sequence[Look]) -> int:
    """Looks since the last one that was above all before it, the starting point included."""
    top, at = looks[0].reward, 0
    for place, look in enumerate(looks):
        if look.reward > top:
            top, at = look.reward, place
    return len(looks) - 1 - at


def reason_to_stop(looks: Sequence[Look], patience: int, steps: int) -> str:
    """Why the training ends after the last look; empty when it goes on."""
    if stale(looks) >= patience:
        return f"no new best in {patience} looks"
    if looks[-1].step >= steps:
        return f"all {steps} steps done"
    return ""


class TrainingFailed(Exception):
    """Nothing to publish; the message says why in one line."""
