"""The plan to start an algorithm from: the house's own, changed only where a measurement asks for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sia_tui.core.plans import OFFLINE, Algorithm, TrainPlan
from sia_tui.core.rewards import Rewards

MOST_SAMPLES = 64
"""Of a case: TTT-Discover's group (arXiv 2601.16175). Past it other cases teach more than other samples."""
WIN = 0.1
"""Share of the rollouts that count as the tail: a group should hold one of them."""
KL = 0.04
"""DeepSeekMath's coefficient (arXiv 2402.03300, section 4.2)."""
DPO_BETA = 0.1
"""Rafailov et al. 2023 (arXiv 2305.18290), appendix B."""


@dataclass(frozen=True)
class Change:
    """One field of the house's plan that a measurement changes."""

    field: str
    was: float
    now: float
    why: str


def house(algorithm: Algorithm, plans: Sequence[TrainPlan]) -> TrainPlan:
    """The house's plan of an algorithm, or one after the nearest that it has. Raises ValueError where it has none."""
    if not plans:
        raise ValueError("there is no plan to start from")
    alike = [plan for plan in plans if (plan.algorithm in OFFLINE) == (algorithm in OFFLINE)]
    own = [plan for plan in plans if plan.algorithm == algorithm]
    return replace((own or alike or list(plans))[0], algorithm=algorithm)


def starting(
    algorithm: Algorithm, found: Rewards, at_stake: bool, plans: Sequence[TrainPlan]
) -> tuple[TrainPlan, tuple[Change, ...]]:
    """`at_stake`: more is solved already than is not. One sample a case changes nothing: it is no pilot's."""
    plan = house(algorithm, plans)
    wanted = (_samples(plan, found), _kl(plan, found, at_stake)) if found.samples > 1 else ()
    changes = tuple(change for change in wanted if change is not None)
    changed: dict[str, Any] = {change.field: change.now for change in changes}
    return replace(plan, **changed), changes


def _samples(plan: TrainPlan, found: Rewards) -> Change | None:
    """Enough for a group to expect one of what it is to learn from."""
    wins, name = (WIN, "of the best tenth") if plan.algorithm == "entropic" else (found.pass_1, "successes")
    if not 0 < wins < 1 / plan.samples or (plan.algorithm == "dpo" and found.ranked):
        return None
    now = min(MOST_SAMPLES, math.ceil(1 / wins))
    if now <= plan.samples:
        return None
    why = f"a group of {plan.samples} expects {plan.samples * wins:.1f} {name}, one of {now} {now * wins:.1f}"
    return Change("samples", plan.samples, now, why)


def _kl(plan: TrainPlan, found: Rewards, at_stake: bool) -> Change | None:
    if plan.kl > 0:
        return None
    if plan.algorithm == "dpo":
        return Change("kl", 0.0, DPO_BETA, "DPO's beta: without it no pair weighs anything")
    if at_stake and plan.algorithm not in OFFLINE:
        why = f"{100 * found.settled:.0f} % of the cases are solved already: what is not paid to change should stay"
        return Change("kl", 0.0, KL, why)
    return None
