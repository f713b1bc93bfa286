"""What a run has spent of each of its limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sia_tui.core.state import State
from sia_tui.tui.pieces import minutes

if TYPE_CHECKING:
    from sia_tui.config import RunConfig


OPTIONAL = ("gpu_hours", "tokens", "money")
"""Fields that by default are as good as endless."""


@dataclass(frozen=True)
class Spent:
    told: str
    """`71/120 GPU-h`."""
    share: float | None = None
    """Of its limit; None where there is none."""
    rest: str = ""
    """`49 GPU-h`."""


def spent(state: State, config: RunConfig) -> tuple[Spent, ...]:
    """The tightest limit first; what has none, last."""
    return tuple(sorted(_all(state, config), key=lambda one: -1 if one.share is None else one.share, reverse=True))


def left(state: State, config: RunConfig | None) -> str:
    """`49 GPU-h · 5 steps · 21.9 h`: of every limit, the tightest first."""
    return " · ".join(one.rest for one in spent(state, config) if one.share is not None) if config else ""


def limited(config: RunConfig, name: str) -> float | None:
    """The limit of one of OPTIONAL; None where there is none."""
    limit, endless = getattr(config.budget, name), type(config.budget).model_fields[name].default
    return float(limit) if limit < endless else None


def count(number: float) -> str:
    """`1.4M`, `12k`."""
    if number >= 10**6:
        return f"{number / 10**6:.1f}M".replace(".0M", "M")
    return f"{number / 1000:.0f}k" if number >= 10_000 else f"{number:.0f}"


def _all(state: State, config: RunConfig) -> Iterator[Spent]:
    cost, made, most = state.cost, len(state.made), config.budget.steps
    rest = max(0, most - made)
    yield Spent(f"{made}/{most} steps", made / most if most else 1.0, f"{rest} step{'' if rest == 1 else 's'}")
    wall = _of(cost.wall_s, config.budget.wall_s, minutes)
    yield replace(wall, told=f"wall {wall.told}")
    gpu_hours = limited(config, "gpu_hours")
    if cost.gpu_s or gpu_hours:
        yield _of(cost.gpu_s / 3600, gpu_hours, _hours, " GPU-h")
    yield _of(cost.tokens, limited(config, "tokens"), count, " tok")
    if money := limited(config, "money"):
        yield _of(cost.money, money, lambda dollars: f"{dollars:.2f}", " $")


def _of(used: float, limit: float | None, says: Callable[[float], str], unit: str = "") -> Spent:
    if limit is None:
        return Spent(f"{says(used)}{unit}")
    return Spent(f"{says(used)}/{says(limit)}{unit}", used / limit, f"{says(max(0.0, limit - used))}{unit}")


def _hours(hours: float) -> str:
    return f"{hours:.1f}" if hours < 10 else f"{hours:.0f}"
