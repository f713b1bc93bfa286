"""Which lever: the harness while failures are the scaffold's, the weights when they are choices it cannot make."""

from __future__ import annotations

from dataclasses import dataclass

from sia_tui.agents.diagnosis import Diagnosis
from sia_tui.core.plans import TrainPlan
from sia_tui.core.stats import resolvable_gain

LEARNED = 0.6
"""Of the way from what the policy picks to what would be the best habit of picking, how much a training is hoped to go."""


@dataclass(frozen=True)
class Training:
    """A weights update that the trajectories ask for."""

    plan: TrainPlan
    gain: float
    why: str


def training(found: Diagnosis, plans: tuple[TrainPlan, ...], trained: bool, refuted: set[str]) -> Training | None:
    """The update to make next, or None where each algorithm failed on this generation.

    `trained`: the incumbent has an adapter. A base that picks blindly agrees with itself seldom and is right seldom, so
    that GRPO starves: best-of-n cloning is the cold start, GRPO sharpens what it made.
    """
    order = ("grpo", "best_of_n") if trained else ("best_of_n", "grpo")
    left = [plan for name in order for plan in plans if plan.algorithm == name and name not in refuted]
    if not left:
        return None
    plan = left[0]
    best = max((found.right_at(place) for place in range(found.shown)), default=2 * found.accuracy)
    gain = LEARNED * max(0.0, best - found.accuracy)
    picked = max(found.habit(), default=0.0)
    seen = (
        f"the policy's favourite place of the list gets {100 * picked:.0f} % of its picks, while the best place alone is "
        f"right in {100 * best:.0f} %"
        if found.shown
        else "nothing is shown to choose from: it has to know"
    )
    how = {
        "best_of_n": "Cloning its verified successes is the cold start: few groups of a blind picker teach GRPO anything",
        "grpo": "GRPO on groups of its own rollouts sharpens what it does right already",
    }
    return Training(plan, gain, f"{seen}. {how[plan.algorithm]}")


def weights_first(asked: Training, found: Diagnosis, dev: int) -> bool:
    """Whether most of what fails is knowledge or choice, and the training promises more than dev can tell from noise."""
    return found.out_of_reach > 0.5 and asked.gain >= resolvable_gain(dev)
