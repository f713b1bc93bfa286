"""When a training has had its best: decided from the held-out rewards it was looked at with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sia_tui.core.plans import TrainPlan
from sia_tui.core.stops import GAP, limits, stale


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


def reason_to_stop(looks: Sequence[Look], patience: int, steps: int) -> str:
    """Why the training ends after the last look; empty when it goes on."""
    if stale([look.reward for look in looks]) >= patience:
        return f"no new best in {patience} looks"
    if looks[-1].step >= steps:
        return f"all {steps} steps done"
    return ""


def tripped(plan: TrainPlan, step: int, values: Mapping[str, float], rewards: Sequence[float], seconds: float) -> str:
    """Which of the plan's stop rules the step that just ended breaks, with its number; empty when none does.

    `rewards`: mean reward of each step so far. `seconds`: since the training began.
    """
    for limit in limits(plan):
        value = values.get(limit.measure) if limit.measure else seconds
        if limit.broken(value) and not (limit.measure == GAP and values.get("staleness", 0) > 0):
            return f"stop rule: {limit.name} {value:.3g} {limit.unit}, limit {limit.most:g}"
    learned = rewards[plan.value_warmup :] if plan.algorithm == "ppo" else rewards
    if plan.stop_slope and step == plan.stop_slope and len(learned) > 1 and slope(learned) <= 0:
        return f"stop rule: reward does not rise, slope {slope(learned):+.2g} a step over {len(learned)} steps"
    return ""


def slope(values: Sequence[float]) -> float:
    """Of the least-squares line through the values at 0, 1, 2 …; 0 for fewer than two."""
    centre = (len(values) - 1) / 2
    over = math.fsum((place - centre) ** 2 for place in range(len(values)))
    return math.fsum((place - centre) * value for place, value in enumerate(values)) / over if over else 0.0


class TrainingFailed(Exception):
    """Nothing to publish; the message says why in one line."""
