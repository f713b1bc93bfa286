"""What stands beside the ticks of an axis: exact numbers, so that no two say the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal

ROOM = 6
"""Cells beside an axis."""


def ticked(ticks: Sequence[float]) -> list[str]:
    """All in the plainest way in which they fit; beside a tick that fits in none there is nothing."""
    decimals = max((len(_exact(tick).partition(".")[2]) for tick in ticks), default=0)
    ways: tuple[Callable[[float], str], ...] = (lambda tick: f"{tick:.{decimals}f}", _power, _bare, _beside_one)
    found = [[said if len(said := way(tick)) <= ROOM else "" for tick in ticks] for way in ways]
    return max(found, key=lambda labels: sum(map(bool, labels)))


def _exact(tick: float) -> str:
    return f"{Decimal(f'{tick:.12g}'):f}"


def _bare(tick: float) -> str:
    """`.00095`."""
    said = _exact(tick)
    return said.replace("0.", ".", 1) if said.startswith(("0.", "-0.")) else said


def _power(tick: float) -> str:
    """`3.8e-5`."""
    mantissa, exponent = f"{tick:.11e}".split("e")
    return f"{float(mantissa):.12g}e{int(exponent)}" if tick else "0"


def _beside_one(tick: float) -> str:
    """`1-2e-5`: ratios lie there."""
    apart = _power(float(f"{tick - 1:.4e}"))
    if not math.isclose(1 + float(apart), tick, rel_tol=1e-12):
        return _exact(tick)
    return "1" if apart == "0" else f"1{apart}" if tick < 1 else f"1+{apart}"
