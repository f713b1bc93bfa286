"""Fewer points that look the same: the lowest and the highest of each column stay."""

from __future__ import annotations

import math
from collections.abc import Sequence

Points = list[tuple[float, float]]


def decimate(points: Sequence[tuple[float, float]], columns: int) -> Points:
    """At most two points a column, finite ones only, in order of x."""
    finite = [point for point in points if math.isfinite(point[0]) and math.isfinite(point[1])]
    if len(finite) <= 2 * columns:
        return finite
    found: Points = []
    for column in range(columns):
        part = finite[column * len(finite) // columns : (column + 1) * len(finite) // columns]
        low, high = min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])
        found += sorted({low, high})
    return found
