"""What the curves are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sia_tui.core.state import State
from sia_tui.core.text import one_line
from sia_tui.store.reader import Metrics
from sia_tui.tui.panels import label
from sia_tui.tui.scores import best_null, dev_points


@dataclass(frozen=True)
class Series:
    """A line (or, with `marks`, separate marks) in a colour of the theme."""

    name: str
    points: tuple[tuple[float, float], ...]
    color: str = "primary"
    marks: str = ""


@dataclass(frozen=True)
class Chart:
    series: tuple[Series, ...]
    level: tuple[str, float] | None = None
    """A horizontal line with its name."""
    whole_x: bool = False
    """x counts things: no ticks between them."""

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """First and last x, lowest and highest y, with a margin so that nothing lies on the frame."""
        xs = [x for series in self.series for x, _ in series.points]
        ys = [y for series in self.series for _, y in series.points] + ([self.level[1]] if self.level else [])
        side = 0.5 if self.whole_x else 0.02 * (max(xs) - min(xs)) or 0.5
        edge = 0.06 * (max(ys) - min(ys)) or 0.1 * abs(max(ys)) or 0.1
        return min(xs) - side, max(xs) + side, min(ys) - edge, max(ys) + edge

    @property
    def empty(self) -> bool:
        return not any(series.points for series in self.series)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round values between the two, evenly spaced by 1, 2 or 5 times a power of ten, at most `most` of them."""
    span = (high - low) / max(1, most)
    power = 10.0 ** math.floor(math.log10(span))
    stride = next(power * times for times in (1, 2, 5, 10) if power * times >= span)
    first = math.ceil(low / stride)
    return [round(place * stride, 12) for place in range(first, math.floor(high / stride) + 1)]


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


COLORS = {"reward": "primary", "held_out": "success"}
_OTHERS = ("accent", "warning", "secondary", "primary")


def metric_chart(rows: Sequence[Metrics], names: Sequence[str]) -> Chart:
    """Measures of a training over its steps, on one axis."""
    return Chart(tuple(_series(rows, name, _OTHERS[place % len(_OTHERS)]) for place, name in enumerate(names)))


def _series(rows: Sequence[Metrics], name: str, color: str) -> Series:
    points = tuple((float(row.step), row.values[name]) for row in rows if name in row.values)
    return Series(label(name), points, COLORS.get(name, color))
