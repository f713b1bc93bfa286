"""The curves pane: one training's measures over its steps, and dev over generations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal
from textual.widget import Widget

from sia_tui.core.text import one_line
from sia_tui.store.reader import Metrics
from sia_tui.tui.charts import dev_chart, metric_chart
from sia_tui.tui.panels import REWARD, SIGNALS, Panel, label, pages
from sia_tui.tui.phase import panel_lines
from sia_tui.tui.pieces import ACCENT, DIM, STRONG, Line, Opens, fit, line
from sia_tui.tui.screens.rollouts import RolloutsPane
from sia_tui.tui.screens.samples import Samples
from sia_tui.tui.view import View
from sia_tui.tui.widgets.card import Card
from sia_tui.tui.widgets.curve import Curve
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.widgets.titled import titled
from sia_tui.tui.window import window

SLOTS = 6
OTHER = Binding.Group("training", compact=True)
NONE = "no training yet: its curves appear here with its first step"


class CurvesPane(Widget, can_focus=True):
    """Reward beside dev above, the other measures below, a page of panels at a time; on a small terminal these become
    sparklines, all of them in one list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "choose(-1)", "training before", key_display="[", group=OTHER),
        Binding("right_square_bracket", "choose(1)", "training after", key_display="]", group=OTHER),
        Binding("t", "samples", "samples", tooltip="rollouts of this training to read: best, worst, random, changed"),
        Binding("c", "turn(1)", "next panel", tooltip="the next panel of measures"),
        Binding("C", "turn(-1)", "panel before", show=False, tooltip="the panel before it"),
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._view: View | None = None
        self._chosen: str | None = None
        """None: the newest."""
        self._page = 0

    def compose(self) -> ComposeResult:
        yield Card(id="chosen")
        with Horizontal(id="large"):
            yield titled(Curve(id="reward", classes="frame"), "REWARD · proxy against held out")
            yield titled(
                Curve(id="dev", classes="frame", empty="no generation measured on dev yet"), "DEV by generation · %"
            )
        with Grid(id="small"):
            for slot in range(SLOTS):
                yield Curve(id=f"slot-{slot}", classes="frame", empty="not measured")
        yield Card(id="page")
        yield titled(Lines(id="sparks", classes="frame", has_cursor=False), f"MEASURES · {SIGNALS}")

    def show(self, view: View) -> None:
        self._view = view
        chosen = self._training(view)
        rows = view.metrics.get(chosen, ()) if chosen else ()
        self.set_class(chosen is None, "-none")
        self.query_one("#chosen", Card).show(lambda width, height: [_told(view, chosen, width)])
        self.query_one("#dev", Curve).show(dev_chart(view.state))
        self.query_one("#reward", Curve).show(metric_chart(rows, REWARD))
        self._show_page(rows)
        sparks = self.query_one("#sparks", Lines)
        sparks.show_rows(len(panel_lines(rows, 80)), lambda index, width: content(panel_lines(rows, width)[index]))

    def _show_page(self, rows: Sequence[Metrics]) -> None:
        found = pages(rows, SLOTS)
        self._page = min(self._page, len(found) - 1)
        panel = found[self._page]
        self.query_one("#small").set_class(len(panel.axes) <= SLOTS // 2, "-row")
        for slot, axis in zip_longest(range(SLOTS), panel.axes):
            curve = self.query_one(f"#slot-{slot}", Curve)
            curve.display = axis is not None
            titled(curve, " · ".join(label(name) for name in axis or ()).upper())
            curve.show(metric_chart(rows, axis or ()))
        self.query_one("#page", Card).show(lambda width, height: [_paged(found, self._page, width)])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "turn" or self.query_one("#small").display

    def on_resize(self) -> None:
        self.refresh_bindings()

    def action_turn(self, by: int) -> None:
        if self._view is not None:
            chosen = self._training(self._view)
            count = len(pages(self._view.metrics.get(chosen, ()) if chosen else (), SLOTS))
            self._page = (self._page + by) % count
            self.show(self._view)

    def action_samples(self) -> None:
        chosen = self._training(self._view) if self._view is not None else None
        if chosen is not None:
            self.app.push_screen(Samples(window(self).source, chosen), self._read)

    def _read(self, opens: Opens | None) -> None:
        if opens is not None:
            self.app.query_one(RolloutsPane).read(opens, back="curves")
            window(self).action_pane("rollouts")

    def action_choose(self, by: int) -> None:
        view = self._view
        if view is None or not view.trainings:
            return
        here = view.trainings.index(self._training(view) or view.trainings[-1])
        there = max(0, min(here + by, len(view.trainings) - 1))
        self._chosen = None if there == len(view.trainings) - 1 else view.trainings[there]
        self.show(view)

    def _training(self, view: View) -> str | None:
        if self._chosen in view.trainings:
            return self._chosen
        return view.trainings[-1] if view.trainings else None


def _paged(found: Sequence[Panel], at: int, width: int) -> Line:
    """Which panel is drawn above, of how many."""
    said = "  ".join(f"[{panel.title}]" if place == at else panel.title for place, panel in enumerate(found))
    return line((fit(f"{said}  ·  {SIGNALS}", width), DIM))


def _told(view: View, chosen: str | None, width: int) -> Line:
    if chosen is None:
        return line((fit(NONE, width), DIM))
    step, place = view.state.step(chosen), view.trainings.index(chosen) + 1
    plan = step.proposal.plan
    made = view.metrics[chosen][-1].step
    said = f"{plan.algorithm} · step {made}/{plan.steps} · lr {plan.learning_rate:g}" if plan else f"step {made}"
    ended = (
        step.trained.stopped if step.trained else "under way" if step is view.state.current else "no adapter came of it"
    )
    head = f"training {place} of {len(view.trainings)}  "
    rest = f"{said} · {one_line(ended, 60)} · {one_line(step.proposal.title, 80)}"
    return line((head, STRONG), (chosen, ACCENT), "  ", fit(rest, max(4, width - len(head) - len(chosen) - 2)))
