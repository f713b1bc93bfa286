"""A plot of few lines over a common axis, with its key."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Offset
from textual.message import Message
from textual.widgets import Static

from sia_tui.tui.charts import Chart, Series
from sia_tui.tui.sparks import short

if TYPE_CHECKING:
    from sia_tui.tui.widgets.plot import Plot

REDRAW_S = 0.5


class Curve(Vertical):
    """Draws the newest chart it was given, of one thing at most twice a second and only while in sight. A click points at an
    x, the wheel asks to be shown more of it or less."""

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
        self._chart: Chart | None = None
        self._of: object = None
        self._drawn: tuple[object, ...] = ()
        self._at = -REDRAW_S
        self._later: Any = None
        self._plot: Plot | None = None

    def compose(self) -> ComposeResult:
        yield Static("reading …", classes="curve--key", markup=False)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda theme: self._soon(force=True))

    def show(self, chart: Chart, of: object = None) -> None:
        """`of`: what is plotted. Another thing is drawn at once: what stands around it names it already."""
        self._chart, before, self._of = chart, self._of, of
        if of != before:
            self._draw()
        else:
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
        if self._chart is None or self._later is not None or self.settled:
            return
        wait = self._at + REDRAW_S - time.monotonic()
        if wait <= 0:
            self._draw()
        else:
            self._later = self.set_timer(wait, self._draw)

    def _draw(self) -> None:
        if self._later is not None:
            self._later.stop()
        self._later, self._drawn = None, (self._chart, self.size)
        if (chart := self._chart) is None:
            return
        self.set_class(chart.empty or self._cramped, "-empty")
        self.query_one(Static).update(self._key(chart))
        if chart.empty or self._cramped:
            return
        self._at = time.monotonic()
        if self._plot is not None and self._plot.is_mounted:
            self._plot.draw(chart, self._hex, self.size.width, self.size.height)
        else:
            self._drawn = ()
            self.call_after_refresh(self._unroll)

    @property
    def _cramped(self) -> bool:
        """Whether there is room for the key alone, which then says what the plot would."""
        return self.size.width < 12 or self.size.height < 5

    async def _unroll(self) -> None:
        """The first plot comes after all that could be shown without one."""
        from sia_tui.tui.widgets.plot import Plot

        if self._plot is None:
            self._plot = Plot(allow_pan_and_zoom=False)
            await self.mount(self._plot)
            self._draw()

    def _key(self, chart: Chart) -> Content:
        if chart.empty:
            return Content.styled(self._empty, "$foreground-muted")
        level = f"┄ {chart.level[0]}  " if chart.level is not None else ""
        lines = self._names(chart, self.size.width - len(level))
        pieces = [(name, f"${series.color}") for series, name in zip(chart.series, lines, strict=True)]
        pieces.append((level, "$warning"))
        marks = [(f"│ {name} at {x:g}  ", "bold $error") for x, name in chart.marks]
        # What spoke is told in full above the curves: nothing of it is told here where it would be cut.
        if sum(len(text) for text, _ in (*pieces, *marks)) - 2 <= self.size.width:
            pieces += marks
        return Content.assemble(*pieces).rstrip()

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
        drawn = self._chart is not None and not self._chart.empty
        return self._plot.x_at(place) if self._plot is not None and drawn else None

    def _names(self, chart: Chart, room: int) -> list[str]:
        """As much of each line as there is room for."""
        ways: tuple[Callable[[Series], str], ...] = (_course, _last, _value)
        if chart.cursor is not None:
            ways = partial(_under, x=chart.cursor, named=True), partial(_under, x=chart.cursor, named=False)
        for told in ways:
            names = [_named(series, told, self._cramped) for series in chart.series]
            if len("".join(names).rstrip()) <= room:
                break
        return names

    def _hex(self, color: str) -> str:
        return self.app.theme_variables[color]


def _named(series: Series, told: Callable[[Series], str], cramped: bool) -> str:
    """A line with what is told of it; of marks, which are told by where they stand, the last one where they are not drawn."""
    if not series.name or not series.points:
        return ""
    if series.marks:
        return f"{series.marks} {_last(series) if cramped else series.name}  "
    return f"{series.tag or '━'} {told(series)}  "


def _course(series: Series) -> str:
    return f"{series.name} {short(series.points[0][1])} → {_mean(series)}"


def _last(series: Series) -> str:
    return f"{series.name} {_mean(series)}"


def _mean(series: Series) -> str:
    return short(series.points[-1][1]) + ("" if series.spread is None else f" ±{short(series.spread)}")


def _value(series: Series) -> str:
    return short(series.points[-1][1])


def _under(series: Series, x: float, named: bool) -> str:
    """The value at a step; where none was measured, at the nearest one."""
    found, name = series.at(x), series.name if named else ""
    value = "" if found is None else short(found[1]) + ("" if found[0] == x else f"@{found[0]:g}")
    return f"{name} {value}".strip()
