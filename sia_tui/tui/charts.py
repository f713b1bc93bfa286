"""What the curves are made of."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sia_tui.core.state import State
from sia_tui.core.text import one_line
from sia_tui.store.reader import Metrics
from sia_tui.tui.lettered import lettered
from sia_tui.tui.panels import label
from sia_tui.tui.scores import best_null, dev_points

Points = tuple[tuple[float, float], ...]
Window = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """A line (or, with `marks`, separate marks) in a colour of the theme."""

    name: str
    points: Points
    color: str = "primary"
    marks: str = ""
    tag: str = ""
    """Letters in the key and at the line's end, to know it by without colours."""
    spread: float | None = None
    """Standard deviation of what the last point is the mean of."""

    def at(self, x: float) -> tuple[float, float] | None:
        """The point nearest to `x`."""
        return min(self.points, key=lambda point: abs(point[0] - x), default=None)


@dataclass(frozen=True)
class Chart:
    series: tuple[Series, ...]
    level: tuple[str, float] | None = None
    """A horizontal line with its name."""
    whole_x: bool = False
    """x counts things: no ticks between them."""
    window: Window | None = None
    """First and last x that are shown; None: all."""
    cursor: float | None = None
    """Where every line's value is told."""
    marks: tuple[tuple[float, str], ...] = ()
    """Vertical lines with their names."""

    @property
    def seen(self) -> tuple[Series, ...]:
        """The series as far as they lie in the window."""
        if self.window is None:
            return self.series
        first, last = self.window
        return tuple(
            replace(one, points=tuple(point for point in one.points if first <= point[0] <= last))
            for one in self.series
        )

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """First and last x, lowest and highest y, with a margin so that nothing lies on the frame."""
        points = [point for series in self.seen for point in series.points]
        if not points and self.window is not None:
            return replace(self, window=None).bounds
        xs, ys = [x for x, _ in points], [y for _, y in points] + ([self.level[1]] if self.level else [])
        side = 0.5 if self.whole_x else SIDE * (max(xs) - min(xs)) or 0.5
        edge = 0.06 * (max(ys) - min(ys)) or 0.1 * abs(max(ys)) or 0.1
        first, last = self.window or (min(xs) - side, max(xs) + side)
        return first, last, min(ys) - edge, max(ys) + edge

    @property
    def empty(self) -> bool:
        return not any(series.points for series in self.series)


SIDE = 0.02


def margined(first: float, last: float) -> Window:
    return first - SIDE * (last - first), last + SIDE * (last - first)


def smoothed(points: Points, weight: float) -> Points:
    """The exponential moving average, without the pull of its beginning towards nothing; `weight`, 0 to 1, is the past's."""
    found, mean, total = list[tuple[float, float]](), 0.0, 0.0
    for x, y in points:
        if not math.isfinite(y):
            continue
        mean, total = weight * mean + (1 - weight) * y, weight * total + (1 - weight)
        found.append((x, mean / total))
    return tuple(found)


def height_at(points: Sequence[tuple[float, float]], x: float) -> float:
    """Of the line through the points, in order of x, at an x that is not past its ends."""
    after = bisect_left(points, x, key=lambda point: point[0])
    (left, low), (right, high) = points[max(0, after - 1)], points[min(after, len(points) - 1)]
    return low if right == left else low + (high - low) * (x - left) / (right - left)


def zoomed(window: Window, whole: Window, x: float, factor: float) -> Window | None:
    """The window `factor` times as wide, with `x` where it was in it; None where that is the whole."""
    first, last = window
    wide = max(MOST_ZOOM * (whole[1] - whole[0]), factor * (last - first))
    if wide >= whole[1] - whole[0]:
        return None
    share = (min(max(x, first), last) - first) / (last - first)
    start = min(max(x - share * wide, whole[0]), whole[1] - wide)
    return start, start + wide


MOST_ZOOM = 0.02
"""Of the whole width that a window shows at least."""


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round values between the two, evenly spaced by 1, 2 or 5 times a power of ten, at most `most` of them."""
    span = (high - low) / max(1, most)
    power = 10.0 ** math.floor(math.log10(span))
    stride = next(power * times for times in (1, 2, 5, 10) if power * times >= span)
    first = math.ceil(low / stride)
    return [float(f"{place * stride:.12g}") for place in range(first, math.floor(high / stride) + 1)]


def dev_chart(state: State) -> Chart:
    """Dev over generations: the line is what served, marks are what was tried, the level is the best null baseline."""
    found = dev_points(state)
    kept = tuple((float(dev.index), 100 * dev.mean) for dev in found if dev.kept)
    back = tuple((float(dev.index), 100 * dev.mean) for dev in found if not dev.kept)
    null = best_null(state) if found else None
    return Chart(
        (
            Series("", _stairs(kept), "success"),
            Series("kept", kept, "success", "●"),
            Series("rolled back", back, "secondary", "○"),
        ),
        (f"null {one_line(null[0], 20)} {100 * null[1]:.1f}", 100 * null[1]) if null else None,
        whole_x=True,
    )


def _stairs(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """What serves goes on serving until the next is kept."""
    found: list[tuple[float, float]] = []
    for x, y in points:
        if found:
            found.append((x, found[-1][1]))
        found.append((x, y))
    return tuple(found)


COLORS = {"reward": "primary", "held_out": "success", "pass_1": "accent", "pass_n": "secondary"}
_OTHERS = ("accent", "warning", "secondary", "primary")
_LAID = ("secondary", "warning", "accent")
NEAR = 4
"""A limit this many times above all that was measured is not drawn: it would press the line flat."""
OVERLAID = 2
"""Measures of an axis that other trainings are laid over."""


@dataclass(frozen=True)
class Training:
    """Whose measures are drawn over another's."""

    name: str
    tag: str
    rows: Sequence[Metrics]


@dataclass(frozen=True)
class Looks:
    """How the measures of a training are looked at."""

    smoothing: float = 0.0
    window: Window | None = None
    cursor: float | None = None
    laid: tuple[Training, ...] = ()


def metric_chart(
    rows: Sequence[Metrics],
    names: Sequence[str],
    looks: Looks | None = None,
    levels: Sequence[tuple[str, float]] = (),
    marks: Sequence[tuple[float, str]] = (),
) -> Chart:
    """Measures of a training over its steps, on one axis, with those of others laid over them."""
    looks = looks or Looks()
    whole = [*rows, *(row for one in looks.laid for row in one.rows)]
    there = [name for name in names if any(name in row.values for row in whole)]
    known = dict(zip(there, lettered([label(name) for name in there]), strict=True))
    own = [_series(rows, name, known[name], _OTHERS[names.index(name) % len(_OTHERS)]) for name in there]
    others = [
        _series(one.rows, name, (f"{one.tag}{known[name][0]}", known[name][1]), _LAID[place % len(_LAID)])
        for place, one in enumerate(looks.laid)
        for name in names[:OVERLAID]
        if name in known
    ]
    drawn = [one for one in (*own, *others) if one.points]
    if looks.smoothing:
        drawn = [replace(one, points=smoothed(one.points, looks.smoothing)) for one in drawn]
    highest = max((y for one in drawn for _, y in one.points), default=0.0)
    level = next((one for one in levels if one[1] <= NEAR * highest), None)
    return Chart(tuple(drawn), level, window=looks.window, cursor=looks.cursor, marks=tuple(marks))


def _series(rows: Sequence[Metrics], measure: str, known: tuple[str, str], color: str) -> Series:
    points = tuple((float(row.step), row.values[measure]) for row in rows if measure in row.values)
    newest = next((row for row in reversed(rows) if measure in row.values), None)
    spread = newest.values.get(f"{measure}_std") if newest else None
    tag, name = known
    return Series(name, points, COLORS.get(measure, color), tag=tag, spread=spread)
