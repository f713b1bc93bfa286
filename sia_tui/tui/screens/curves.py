"""The curves pane: one training's measures over its steps, and dev over generations."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal
from textual.widget import Widget

from sia_tui.core.text import one_line
from sia_tui.tui.charts import dev_chart, metric_chart
from sia_tui.tui.phase import measure_lines
from sia_tui.tui.pieces import ACCENT, DIM, STRONG, Line, fit, line
from sia_tui.tui.view import View
from sia_tui.tui.widgets.card import Card
from sia_tui.tui.widgets.curve import Curve
from sia_tui.tui.widgets.titled import titled

SMALL = ("useful", "entropy", "loss", "grad_norm", "length", "gap")
NONE = "no training yet: its curves appear here with its first step"


class CurvesPane(Widget, can_focus=True):
    """Reward beside dev above, the other measures below; on a small terminal these become sparklines."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "choose(-1)", "training before", key_display="["),
        Binding("right_square_bracket", "choose(1)", "training after", key_display="]"),
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._view: View | None = None
        self._chosen: str | None = None
        """None: the newest."""

    def compose(self) -> ComposeResult:
        yield Card(id="chosen")
        with Horizontal(id="large"):
            yield titled(Curve(id="reward", classes="frame"), "REWARD")
            yield titled(
                Curve(id="dev", classes="frame", empty="no generation measured on dev yet"), "DEV by generation · %"
            )
        with Grid(id="small"):
            for name in SMALL:
                yield titled(Curve(id=name, classes="frame", empty="not measured"), name.replace("_", " ").upper())
        yield titled(Card(id="sparks", classes="frame"), "MEASURES")

    def show(self, view: View) -> None:
        self._view = view
        chosen = self._training(view)
        rows = view.metrics.get(chosen, ()) if chosen else ()
        self.set_class(chosen is None, "-none")
        self.query_one("#chosen", Card).show(lambda width, height: [_told(view, chosen, width)])
        self.query_one("#dev", Curve).show(dev_chart(view.state))
        self.query_one("#reward", Curve).show(metric_chart(rows, ("reward", "held_out")))
        for name in SMALL:
            self.query_one(f"#{name}", Curve).show(metric_chart(rows, (name,)))
        self.query_one("#sparks", Card).show(lambda width, height: measure_lines(rows, width))

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
