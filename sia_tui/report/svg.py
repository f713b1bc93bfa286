"""Line charts as SVG text: values over a whole-numbered axis, with intervals, and levels across. Every text is escaped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from sia_tui.core.text import one_line

WIDTH, PLOT, LEFT, RIGHT, TOP, FOOT = 860, 260, 52, 150, 28, 30
INK, GRID = "#333", "#ddd"
COLOURS = ("#1a7f37", "#8250df", "#0969da", "#9a6700")
LEVEL = "#bc4c00"
_ASIDE = 9
"""Pixels between marks of several series at one place."""
_ROW = 15
"""Pixels that two labels at the right need between them."""


@dataclass(frozen=True)
class Point:
    x: int
    y: float
    lo: float | None = None
    hi: float | None = None
    full: bool = True
    """A filled mark, or its outline alone."""


@dataclass(frozen=True)
class Series:
    name: str
    points: Sequence[Point]
    line: bool = True
    labels: bool = False
    """The value in points beside each mark."""


@dataclass(frozen=True)
class Chart:
    """Values are shares, shown in percent."""

    series: Sequence[Series]
    levels: Sequence[tuple[str, float]] = ()
    axis: Callable[[int], str] = str
    """What stands below the place of an x."""


def draw(chart: Chart) -> str:
    places = sorted({point.x for series in chart.series for point in series.points}) or [0]
    lo, hi = _bounds(chart)
    wide = WIDTH - LEFT - RIGHT - 40
    first, last = places[0], max(places[-1], places[0] + 1)

    def x(at: int) -> float:
        return LEFT + 20 + wide * (at - first) / (last - first)

    def y(value: float) -> float:
        return TOP + PLOT * (hi - value) / (hi - lo)

    parts = [
        _rule(y(tick), GRID) + _text(LEFT - 6, y(tick) + 4, f"{100 * tick:g} %", end=True) for tick in _ticks(lo, hi)
    ]
    parts += _levels(chart, y)
    for number, series in enumerate(chart.series):
        aside = 0 if series.line else _ASIDE * number
        parts += _series(series, COLOURS[number % len(COLOURS)], x, y, aside)
        parts.append(_text(LEFT + 150 * number, 14, f"● {series.name}", COLOURS[number % len(COLOURS)]))
    parts += [_text(x(at), TOP + PLOT + 18, chart.axis(at), middle=True) for at in _sparse(places)]
    height = TOP + PLOT + FOOT
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
    return "\n".join(
        [
            f'{head}font-family="sans-serif" role="img">',
            '<rect width="100%" height="100%" fill="white"/>',
            *parts,
            "</svg>",
        ]
    )


def _bounds(chart: Chart) -> tuple[float, float]:
    values = [level for _, level in chart.levels]
    for series in chart.series:
        for point in series.points:
            values += [value for value in (point.y, point.lo, point.hi) if value is not None]
    lo, hi = min([0.0, *values]), max(values, default=1.0)
    return lo, hi + 0.06 * (hi - lo or 1.0)


def _ticks(lo: float, hi: float) -> list[float]:
    rough = (hi - lo) / 6
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= rough)
    return [round(step * number, 10) for number in range(math.ceil(lo / step), math.floor(hi / step) + 1)]


def _sparse(places: Sequence[int]) -> Sequence[int]:
    """At most a dozen of them."""
    return places[:: max(1, math.ceil(len(places) / 12))]


def _levels(chart: Chart, y: Callable[[float], float]) -> list[str]:
    """Dashed lines, their names beside them and apart from one another."""
    parts, above = [], -math.inf
    for name, value in sorted(chart.levels, key=lambda level: -level[1]):
        above = max(y(value) + 4, above + _ROW)
        parts.append(_rule(y(value), LEVEL, dashed=True))
        parts.append(_text(WIDTH - RIGHT + 6, above, f"{one_line(name, 16)} {100 * value:.1f}", LEVEL))
    return parts


def _series(
    series: Series, colour: str, x: Callable[[int], float], y: Callable[[float], float], aside: int
) -> list[str]:
    parts = []
    if series.line and len(series.points) > 1:
        where = " ".join(f"{x(point.x):.1f},{y(point.y):.1f}" for point in series.points)
        parts.append(f'<polyline points="{where}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    for point in series.points:
        at, high = x(point.x) - aside, y(point.y)
        if point.lo is not None and point.hi is not None:
            parts.append(
                f'<line x1="{at:.1f}" y1="{y(point.lo):.1f}" x2="{at:.1f}" y2="{y(point.hi):.1f}" '
                f'stroke="{colour}" stroke-width="2"/>'
            )
        fill = colour if point.full else "white"
        radius = 4.5 if point.lo is not None else 2.5
        parts.append(
            f'<circle cx="{at:.1f}" cy="{high:.1f}" r="{radius}" fill="{fill}" stroke="{colour}" stroke-width="1.5"/>'
        )
        if series.labels:
            parts.append(_text(at + 8, high + 4, f"{100 * point.y:.1f}", colour))
    return parts


def _rule(y: float, colour: str, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{colour}"{dash}/>'


def _text(x: float, y: float, words: str, colour: str = INK, end: bool = False, middle: bool = False) -> str:
    anchor = "end" if end else "middle" if middle else "start"
    where = f'x="{x:.1f}" y="{y:.1f}" font-size="12" fill="{colour}" text-anchor="{anchor}"'
    return f"<text {where}>{escape(one_line(words, 60))}</text>"
