"""Numbers as one row of block characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_ABSURD = 1e300
"""From here on sums and differences overflow."""


def spark(values: Sequence[float | None], width: int) -> str:
    """The values in order of time, spread over at most `width` cells; None leaves its cell empty."""
    buckets = _buckets(values, width)
    known = [value for value in buckets if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    return "".join(" " if value is None else _block(value, low, high) for value in buckets)


def _block(value: float, low: float, high: float) -> str:
    if high - low <= 1e-12 * max(1.0, abs(high)):
        return _BLOCKS[0]
    return _BLOCKS[min(7, int(8 * (value - low) / (high - low)))]


def _buckets(values: Sequence[float | None], width: int) -> list[float | None]:
    """Means of neighbours, so that there are at most `width` of them."""
    width = max(1, width)
    if len(values) <= width:
        return [_finite(value) for value in values]
    found: list[float | None] = []
    for cell in range(width):
        part = values[cell * len(values) // width : max(1, (cell + 1) * len(values) // width)]
        known = [number for value in part if (number := _finite(value)) is not None]
        found.append(math.fsum(known) / len(known) if known else None)
    return found


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) < _ABSURD else None


def short(value: float) -> str:
    """A number in at most six characters or so."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if size == 0 or 0.1 <= size < 10:
        return f"{value:.2f}"
    if 10 <= size < 10_000:
        return f"{value:.0f}" if size >= 100 else f"{value:.1f}"
    return f"{value:.3f}" if 0.001 <= size < 0.1 else f"{value:.0e}"
