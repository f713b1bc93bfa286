"""Which lever: the harness while failures are the scaffold's, the weights when they are choices it cannot make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sia_tui.agents.diagnosis import Diagnosis
from sia_tui.agents.protocol import Brief, Reading
from sia_tui.core.choosing import Recommendation
from sia_tui.core.episodes import Call
from sia_tui.core.plans import Algorithm, Pilot, TrainPlan
from sia_tui.core.starting import house
from sia_tui.core.stats import resolvable_gain

LEARNED = 0.6
"""Of the way from what the policy picks to what would be the best habit of picking, how much a training is hoped to go."""
LEFT: tuple[Algorithm, ...] = ("grpo", "best_of_n")
"""What is tried when nothing that was asked for is left."""


@dataclass(frozen=True)
class Training:
    """A weights update that the trajectories ask for."""

    plan: TrainPlan
    gain: float
    why: str


HOW: dict[Algorithm, tuple[str, str]] = {
    "best_of_n": (
        "Clone verified successes",
        "Cloning its verified successes is the cold start: few groups of a blind picker teach GRPO anything",
    ),
    "grpo": (
        "GRPO on the harness' own rollouts",
        "GRPO on groups of its own rollouts sharpens what it does right already",
    ),
    "dr_grpo": ("Dr. GRPO on the harness' own rollouts", "Dr. GRPO learns from groups, long and short replies alike"),
    "rloo": ("RLOO on the harness' own rollouts", "RLOO learns from small groups, each rollout against the others"),
    "entropic": (
        "Entropic weighting of the best rollouts",
        "Entropic weighting leans on the few rollouts that won most",
    ),
    "reinforce_kl": (
        "REINFORCE held to the base",
        "REINFORCE with a KL to the base improves without losing what is solved",
    ),
    "ppo": ("PPO with a value head", "PPO's value head shares an episode's reward between its steps"),
    "dpo": (
        "DPO on pairs that the verifier ranks",
        "DPO learns from which of two rollouts is better, not from how good either is",
    ),
}
"""Of each algorithm: the title of its step, and what it is for."""


def glance(readings: Iterable[Reading]) -> Pilot:
    """What trajectories that were measured anyway tell of rewards: one sample a case, so nothing of groups, and no time
    of rollouts made side by side. Raises ValueError for none."""
    attempts, paid, solved = [], [], 0
    for reading in readings:
        earned = reading.attempt.source == "policy"
        attempts.append((len(reading.attempt.calls), sum(map(_tokens, reading.attempt.calls))))
        paid.append((reading.score.reward if earned else 0.0,))
        solved += earned and reading.score.failure is None
    if not paid:
        raise ValueError("there are no trajectories to tell rewards from")
    calls, tokens = (sum(counts) / len(paid) for counts in zip(*attempts, strict=True))
    return Pilot(len(paid), 1, (len(paid) - solved, solved), 0.0, 0.0, tokens, rewards=tuple(paid), calls=calls)


def _tokens(call: Call) -> int:
    return len(call.prompt_ids) + len(call.completion_ids)


def training(
    found: Diagnosis,
    seen: Recommendation,
    piloted: Recommendation | None,
    brief: Brief,
    refuted: set[str],
) -> Training | None:
    """The update to make next, or None where nothing can be learned here or each algorithm failed on this generation.

    `seen` is recommended by what was measured anyway, `piloted` by the last pilot on this generation, which knows groups
    and so goes first. Where both failed, GRPO and cloning are left to try, or else whatever the run may train by.
    """
    if piloted is not None and piloted.algorithm is None:
        return None
    asked = [advised.plan for advised in (piloted, seen) if advised is not None and advised.plan is not None]
    left = [name for name in LEFT if name in brief.algorithms] or brief.algorithms
    order = [*asked, *(house(name, brief.plans) for name in left)]
    plan = next((plan for plan in order if plan.algorithm in set(brief.algorithms) - refuted), None)
    if plan is None:
        return None
    best = max((found.right_at(place) for place in range(found.shown)), default=2 * found.accuracy)
    gain = LEARNED * max(0.0, best - found.accuracy)
    picked = max(found.habit(), default=0.0)
    shown = (
        f"the policy's favourite place of the list gets {100 * picked:.0f} % of its picks, while the best place alone is "
        f"right in {100 * best:.0f} %"
        if found.shown
        else "nothing is shown to choose from: it has to know"
    )
    why = f"{shown}. {HOW[plan.algorithm][1]}"
    if piloted is not None and plan is piloted.plan:
        why += f"; the last pilot on this generation asks for it: {piloted.rule} ({piloted.because})"
    return Training(plan, gain, why)


def weights_first(asked: Training, found: Diagnosis, dev: int) -> bool:
    """Whether most of what fails is knowledge or choice, and the training promises more than dev can tell from noise."""
    return found.out_of_reach > 0.5 and asked.gain >= resolvable_gain(dev)
