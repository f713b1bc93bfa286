"""The plot inside a curve. The only place that knows the plotting package, and what it brings with it: it is imported when
there is something to plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.css.query import NoMatches
from textual.geometry import Offset
from textual.message import Message
from textual.strip import Strip
from textual_hires_canvas import Canvas
from textual_plot import HiResMode, NumericAxisFormatter, PlotWidget

from sia_tui.tui.charts import Chart, Series, height_at, ticks
from sia_tui.tui.decimate import Points, decimate
from sia_tui.tui.ticked import ROOM, ticked

ZOOM = 1.5
STEPS = 9
"""Intervals along x that are named at most."""


class Paper(Canvas):
    """A canvas whose lines have a style before they have a size: the colourless filter reads it of every segment."""

    def render_line(self, y: int) -> Strip:
        strip = super().render_line(y)
        return strip if strip.cell_length else Strip.blank(self.size.width, self.rich_style)


class Labels(NumericAxisFormatter):
    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        return ticked(ticks)


class Plot(PlotWidget):
    """A plot without a zoom of its own and without focus."""

    can_focus = False

    @dataclass
    class Wheeled(Message):
        """The package's plot lets no turn of the wheel go further up."""

        at: Offset
        factor: float

    def on_mount(self) -> None:
        # A window that is closed meanwhile composes nothing.
        with suppress(NoMatches):
            self.set_y_formatter(Labels())
        self.margin_top, self.margin_bottom, self.margin_left = 0, 1, ROOM + 1

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.post_message(self.Wheeled(event.screen_offset, 1 / ZOOM))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.post_message(self.Wheeled(event.screen_offset, ZOOM))

    def compose(self) -> ComposeResult:
        for widget in super().compose():
            yield Paper(1, 1, id=widget.id) if isinstance(widget, Canvas) else widget

    def draw(self, chart: Chart, hue: Callable[[str], str], width: int, height: int) -> None:
        """The chart in so many cells; `hue` is the colour of a name."""
        self.clear()
        first, last, low, high = chart.bounds
        self.set_xlimits(first, last)
        self.set_ylimits(low, high)
        cell = (last - first) / max(1, width - ROOM - 3)
        if chart.level is not None:
            xs = _dotted(first, last, cell)
            self.scatter(xs, [chart.level[1]] * len(xs), marker_style=hue("warning"), hires_mode=HiResMode.BRAILLE)
        lines = [(series, points) for series in chart.seen if (points := decimate(series.points, max(4, width)))]
        for series, points in lines:
            self._add(series, points, hue)
        for place, (series, points) in enumerate(reversed(lines)):
            self._sign(series, points, hue, cell, 1 + 2 * place)
        for x, _ in chart.marks:
            self.add_v_line(x, hue("error"))
        if chart.cursor is not None:
            self.add_v_line(chart.cursor, hue("accent"))
        self.set_yticks(ticks(low, high, (height - 2) // 2))
        self.set_xticks(_whole(first, last, width) if chart.whole_x else whole_steps(first, last))

    def _add(self, series: Series, points: Points, hue: Callable[[str], str]) -> None:
        xs, ys = [x for x, _ in points], [y for _, y in points]
        if series.marks:
            self.scatter(xs, ys, series.marks, hue(series.color))
        else:
            self.plot(xs, ys, hue(series.color), HiResMode.BRAILLE)
            if len(points) == 1:
                self.scatter(xs, ys, "•", hue(series.color))

    def _sign(self, series: Series, points: Points, hue: Callable[[str], str], cell: float, before: int) -> None:
        """The letters of a line on it, so many cells before its end: there may be a mark, and of lines that end in one place
        all can be read."""
        end = max(points[0][0], points[-1][0] - before * cell)
        for place, letter in enumerate(reversed(series.tag)):
            self.scatter([end - place * cell], [height_at(points, end)], letter, hue(series.color))

    def x_at(self, place: Offset) -> float | None:
        """The x of a place on the screen; None outside the plot."""
        canvas = self.query_one("#plot", Canvas)
        at = place - canvas.region.offset
        if not self.display or not (0 <= at.x < canvas.size.width and 0 <= at.y < canvas.size.height):
            return None
        return float(self.get_coordinate_from_pixel(at.x, at.y)[0])


def _dotted(first: float, last: float, cell: float) -> list[float]:
    """A dot in every other cell, well within its left half: on an edge rounding would put it now here, now there."""
    return [first + (place + 0.25) * cell for place in range(0, round((last - first) / cell), 2)]


def whole_steps(first: float, last: float) -> list[float]:
    """No step lies between two, however near they are looked at."""
    return [x for x in ticks(first, last, STEPS) if x.is_integer()]


def _whole(first: float, last: float, width: int) -> list[float]:
    stride = max(1, round((last - first) * 6 / max(1, width)))
    return [float(x) for x in range(round(first), round(last) + 1, stride)]
