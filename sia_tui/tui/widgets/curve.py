"""A plot of few lines over a common axis. The only place that knows the plotting package."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Offset
from textual.message import Message
from textual.strip import Strip
from textual.widgets import Static
from textual_hires_canvas import Canvas
from textual_plot import HiResMode, NumericAxisFormatter, PlotWidget

from sia_tui.tui.charts import Chart, Series, ticks
from sia_tui.tui.decimate import decimate
from sia_tui.tui.sparks import short

REDRAW_S = 0.5
ZOOM = 1.5
SMALL = 1e-3
DECIMALS = 4
"""Of a number with one figure before them: more do not fit beside an axis."""


class Paper(Canvas):
    """A canvas whose lines have a style before they have a size: the colourless filter reads it of every segment."""

    def render_line(self, y: int) -> Strip:
        strip = super().render_line(y)
        return strip if strip.cell_length else Strip.blank(self.size.width, self.rich_style)


class Labels(NumericAxisFormatter):
    """Plain numbers, with the decimals that tell neighbours apart, and powers of ten where plain ones would not fit."""

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        gap = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
        if gap < SMALL and max(map(abs, ticks)) >= 0.1:
            return [f"{tick:.{min(DECIMALS, math.ceil(-math.log10(gap)))}f}" for tick in ticks]
        if gap < SMALL:
            return [f"{tick:.0e}" if tick else "0" for tick in ticks]
        return list(super().get_labels_for_ticks(ticks))


class Plot(PlotWidget):
    """A plot without a zoom of its own and without focus."""

    can_focus = False

    @dataclass
    class Wheeled(Message):
        """The package's plot lets no turn of the wheel go further up."""

        at: Offset
        factor: float

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.post_message(self.Wheeled(event.screen_offset, 1 / ZOOM))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.post_message(self.Wheeled(event.screen_offset, ZOOM))

    def compose(self) -> ComposeResult:
        for widget in super().compose():
            yield Paper(1, 1, id=widget.id) if isinstance(widget, Canvas) else widget


class Curve(Vertical):
    """Draws the newest chart it was given, at most twice a second and only while in sight. A click points at an x, the
    wheel asks to be shown more of it or less."""

    @dataclass
    class Pointed(Message):
        curve: Curve
        x: float

    @dataclass
    class Zoomed(Message):
        curve: Curve
        x: float
        factor: float

    DEFAULT_CSS = """
    Curve {
        & > PlotWidget { height: 1fr; background: transparent; }
        & > PlotWidget > .plot--axis { color: $foreground-muted; }
        & > PlotWidget > .plot--tick { color: $foreground-muted; text-style: none; }
        & > .curve--key { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        &.-empty > PlotWidget { display: none; }
    }
    """

    def __init__(
        self, *, id: str | None = None, classes: str | None = None, empty: str = "nothing to plot yet"
    ) -> None:
        super().__init__(id=id, classes=f"{classes or ''} -empty")
        self._empty = empty
        self._chart = Chart(())
        self._drawn: tuple[object, ...] = ()
        self._at = -REDRAW_S
        self._later: Any = None

    def compose(self) -> ComposeResult:
        yield Static(self._empty, classes="curve--key", markup=False)
        yield Plot(allow_pan_and_zoom=False)

    def on_mount(self) -> None:
        plot = self.query_one(PlotWidget)
        plot.set_y_formatter(Labels())
        plot.margin_top, plot.margin_bottom, plot.margin_left = 0, 1, 7
        self.app.theme_changed_signal.subscribe(self, lambda theme: self._soon(force=True))

    def show(self, chart: Chart) -> None:
        self._chart = chart
        self._soon()

    @property
    def settled(self) -> bool:
        """Whether the newest chart is the one that is drawn."""
        return (self._chart, self.size) == self._drawn

    def on_resize(self) -> None:
        self._soon(force=True)

    def _soon(self, force: bool = False) -> None:
        """Draw now, or when half a second has passed since the last time."""
        if force:
            self._drawn = ()
        if self._later is not None or self.settled:
            return
        wait = self._at + REDRAW_S - time.monotonic()
        if wait <= 0:
            self._draw()
        else:
            self._later = self.set_timer(wait, self._draw)

    def _draw(self) -> None:
        self._later, self._at = None, time.monotonic()
        chart, self._drawn = self._chart, (self._chart, self.size)
        cramped = self.size.width < 12 or self.size.height < 5
        self.set_class(chart.empty or cramped, "-empty")
        self.query_one(Static).update(self._key(chart))
        if chart.empty or cramped:
            return
        plot = self.query_one(PlotWidget)
        plot.clear()
        first, last, low, high = chart.bounds
        plot.set_xlimits(first, last)
        plot.set_ylimits(low, high)
        if chart.level is not None:
            level = chart.level[1]
            plot.plot([first, last], [level, level], self._hex("warning"), HiResMode.BRAILLE)
        for series in chart.seen:
            self._add(plot, series)
        for x, _ in chart.marks:
            plot.add_v_line(x, self._hex("error"))
        if chart.cursor is not None:
            plot.add_v_line(chart.cursor, self._hex("accent"))
        plot.set_yticks(ticks(low, high, (self.size.height - 2) // 2))
        plot.set_xticks(_whole(first, last, self.size.width) if chart.whole_x else None)

    def _add(self, plot: PlotWidget, series: Series) -> None:
        points = decimate(series.points, max(4, self.size.width))
        if not points:
            return
        xs, ys = [x for x, _ in points], [y for _, y in points]
        if series.marks:
            plot.scatter(xs, ys, series.marks, self._hex(series.color))
        else:
            plot.plot(xs, ys, self._hex(series.color), HiResMode.BRAILLE)
            if len(points) == 1:
                plot.scatter(xs, ys, "•", self._hex(series.color))
            if series.tag:
                plot.scatter(xs[-1:], ys[-1:], series.tag, self._hex(series.color))

    def _key(self, chart: Chart) -> Content:
        if chart.empty:
            return Content.styled(self._empty, "$foreground-muted")
        pieces = [(name, f"${series.color}") for series, name in zip(chart.series, self._names(chart), strict=True)]
        if chart.level is not None:
            pieces.append((f"┄ {chart.level[0]}  ", "$warning"))
        pieces += [(f"│ {name} at {x:g}  ", "bold $error") for x, name in chart.marks]
        return Content.assemble(*pieces)

    def on_click(self, event: events.Click) -> None:
        x = self._x_at(event.screen_offset)
        if x is not None:
            self.post_message(self.Pointed(self, x))

    def on_plot_wheeled(self, event: Plot.Wheeled) -> None:
        event.stop()
        x = self._x_at(event.at)
        if x is not None:
            self.post_message(self.Zoomed(self, x, event.factor))

    def _x_at(self, place: Offset) -> float | None:
        """The x under the mouse; None outside the plot."""
        plot = self.query_one(PlotWidget)
        canvas = plot.query_one("#plot", Canvas)
        at = place - canvas.region.offset
        if (
            self._chart.empty
            or not plot.display
            or not (0 <= at.x < canvas.size.width and 0 <= at.y < canvas.size.height)
        ):
            return None
        return float(plot.get_coordinate_from_pixel(at.x, at.y)[0])

    def _names(self, chart: Chart) -> list[str]:
        """As much of the key as there is room for."""
        ways: tuple[Callable[[Series], str], ...] = (_course, _last, _value)
        if chart.cursor is not None:
            ways = partial(_under, x=chart.cursor, named=True), partial(_under, x=chart.cursor, named=False)
        for told in ways:
            names = [_named(series, told) for series in chart.series]
            if sum(map(len, names)) <= self.size.width:
                break
        return names

    def _hex(self, color: str) -> str:
        return self.app.theme_variables[color]


def _named(series: Series, told: Callable[[Series], str]) -> str:
    """A line with what is told of it; the name alone of marks."""
    if not series.name or not series.points:
        return ""
    return f"{series.marks} {series.name}  " if series.marks else f"━ {told(series)}  "


def _course(series: Series) -> str:
    return f"{series.name} {short(series.points[0][1])} → {short(series.points[-1][1])}"


def _last(series: Series) -> str:
    return f"{series.name} {short(series.points[-1][1])}"


def _under(series: Series, x: float, named: bool) -> str:
    """The value at a step; where none was measured, at the nearest one."""
    found, name = series.at(x), series.name if named else series.tag
    value = "" if found is None else short(found[1]) + ("" if found[0] == x else f"@{found[0]:g}")
    return f"{name} {value}".strip()


def _value(series: Series) -> str:
    return f"{series.tag} {short(series.points[-1][1])}".strip()


def _whole(first: float, last: float, width: int) -> list[float]:
    stride = max(1, round((last - first) * 6 / max(1, width)))
    return [float(x) for x in range(round(first), round(last) + 1, stride)]
