"""The curves pane: one training's measures over its steps, and dev over generations."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal
from textual.widget import Widget

from sia_tui.core.text import one_line
from sia_tui.store.reader import Metrics, RunReader
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import Workspace
from sia_tui.tui.alerts import Mark, levels, marks, rule_lines, spoken
from sia_tui.tui.charts import Chart, Looks, Training, dev_chart, margined, metric_chart, zoomed
from sia_tui.tui.panels import SIGNALS, Panel, label, missing, pages, reward_axis
from sia_tui.tui.phase import panel_lines
from sia_tui.tui.pieces import ACCENT, DIM, STRONG, Line, Opens, fit, line
from sia_tui.tui.screens.overlays import Laid, Overlays
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
ZOOMING = Binding.Group("zoom", compact=True)
SMOOTHINGS = (0.0, 0.6, 0.9)
TAGS = "abcd"
AGAIN_S = 5.0
"""How old what is laid over may be while there is something new to show beside it."""
READING = "reading …"
NONE = "no training yet: its curves appear here with its first step"


class CurvesPane(Widget, can_focus=True):
    """Reward beside dev above, the other measures below, a page of panels at a time; on a small terminal these become
    sparklines, all of them in one list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "choose(-1)", "training before", key_display="[", group=OTHER),
        Binding("right_square_bracket", "choose(1)", "training after", key_display="]", group=OTHER),
        Binding("t", "samples", "samples", tooltip="rollouts of this training to read: best, worst, random, changed"),
        Binding("c", "turn(1)", "next panel", tooltip="the next panel of measures"),
        Binding("o", "overlay", "lay over", tooltip="other trainings over these curves, of this run or of others"),
        Binding("s", "smooth", "smooth", tooltip="moving average: none, light, strong"),
        Binding("z", "zoom(0.5)", "zoom in", group=ZOOMING, tooltip="fewer steps, about the cursor; so does the wheel"),
        Binding("Z", "zoom(2)", "zoom out", group=ZOOMING),
        Binding("left", "point(-1)", "step before", show=False, tooltip="the cursor: every line's value at its step"),
        Binding("right", "point(1)", "step after", show=False),
        Binding("shift+left", "point(-10)", "ten steps before", show=False),
        Binding("shift+right", "point(10)", "ten steps after", show=False),
        Binding("escape", "plain", "no cursor, whole width", show=False),
        Binding("C", "turn(-1)", "panel before", show=False, tooltip="the panel before it"),
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._view: View | None = None
        self._chosen: str | None = None
        """None: the newest."""
        self._page = 0
        self._looks = Looks()
        self._laid: tuple[Laid, ...] = ()
        self._read_at = -math.inf
        self._spoken: tuple[Mark, ...] = ()

    def compose(self) -> ComposeResult:
        yield Card(id="chosen")
        yield Card(id="rules")
        with Horizontal(id="large"):
            yield titled(Curve(id="reward", classes="frame"), "REWARD · proxy against held out")
            yield titled(
                Curve(id="dev", classes="frame", empty="no generation measured on dev yet"), "DEV by generation · %"
            )
        with Grid(id="small"):
            for slot in range(SLOTS):
                yield Curve(id=f"slot-{slot}", classes="frame", empty="not measured")
        yield Card(id="page")
        yield titled(Lines(id="sparks", classes="frame", has_cursor=False, empty=READING), f"MEASURES · {SIGNALS}")

    def show(self, view: View) -> None:
        self._view = view
        chosen = self._training(view)
        rows = view.metrics.get(chosen, ()) if chosen else ()
        self.set_class(chosen is None, "-none")
        self.query_one("#chosen", Card).show(lambda width, height: [_told(view, chosen, self._looks, width)])
        if not view.known:
            return
        self._spoken = spoken(view.state.step(chosen), rows, view.alarms) if chosen else ()
        self._show_rules()
        self.query_one("#dev", Curve).show(dev_chart(view.state))
        self._lay()
        self.query_one("#reward", Curve).show(self._chart(rows, reward_axis(rows)), of=chosen)
        self._show_page(chosen, rows)
        sparks = self.query_one("#sparks", Lines)
        sparks.show_rows(len(panel_lines(rows, 80)), lambda index, width: content(panel_lines(rows, width)[index]))

    def _show_rules(self) -> None:
        found, card = self._spoken, self.query_one("#rules", Card)
        card.styles.height = len(rule_lines(found, self.size.width - 2))
        card.show(lambda width, height: rule_lines(found, width))

    def _show_page(self, chosen: str | None, rows: Sequence[Metrics]) -> None:
        found = pages(rows, SLOTS)
        self._page = min(self._page, len(found) - 1)
        panel = found[self._page]
        self.query_one("#small").set_class(len(panel.axes) <= SLOTS // 2, "-row")
        for slot, axis in zip_longest(range(SLOTS), panel.axes):
            curve = self.query_one(f"#slot-{slot}", Curve)
            curve.display = axis is not None
            titled(curve, " · ".join(label(name) for name in axis or ()).upper())
            curve.show(self._chart(rows, axis or ()), of=(chosen, axis))
        self.query_one("#page", Card).show(lambda width, height: [_paged(found, self._page, missing(rows), width)])

    def _chart(self, rows: Sequence[Metrics], names: Sequence[str]) -> Chart:
        """Measures of the chosen training, with what the plan's rules and the alarms say of them."""
        view = self._view
        chosen = self._training(view) if view is not None else None
        if view is None or chosen is None:
            return metric_chart(rows, names)
        step, looks = view.state.step(chosen), self._looks
        if looks.window is None and (looks.cursor is not None or looks.laid) and self._whole is not None:
            # One width for all, so that the cursor stands in the same place in each.
            looks = replace(looks, window=margined(*self._whole))
        said = marks(step, rows, names, view.alarms)
        return metric_chart(rows, names, looks, levels(step.proposal.plan, names), said)

    def _lay(self) -> None:
        """Read anew, now and then, what is laid over."""
        if self._laid and time.monotonic() - self._read_at > AGAIN_S:
            self._read_at = time.monotonic()
            work = partial(self._read_laid, self._workspace, self._laid)
            self.run_worker(work, thread=True, exclusive=True, group="laid", exit_on_error=False)

    @property
    def _workspace(self) -> Workspace:
        return Workspace(window(self).paths.root.parent.parent)

    def _read_laid(self, workspace: Workspace, laid: tuple[Laid, ...]) -> None:
        """In a thread. A run that is gone is laid over nothing."""
        found: list[Training] = []
        for tag, one in zip(TAGS, laid, strict=False):
            with suppress(StoreError), closing(RunReader(workspace.run(one.run).db)) as reader:
                found.append(Training(f"{one.run} {one.training}", tag, reader.metrics(one.training)))
        self.app.call_from_thread(self._laid_over, laid, tuple(found))

    def _laid_over(self, laid: tuple[Laid, ...], found: tuple[Training, ...]) -> None:
        if laid == self._laid:
            self._look(replace(self._looks, laid=found))

    def _look(self, looks: Looks) -> None:
        self._looks = looks
        if self._view is not None:
            self.show(self._view)

    def action_overlay(self) -> None:
        chosen = self._training(self._view) if self._view is not None else None
        if chosen is not None:
            shown = Laid(window(self).paths.name, chosen)
            self.app.push_screen(Overlays(self._workspace, shown, self._laid), self._overlaid)

    def _overlaid(self, laid: tuple[Laid, ...] | None) -> None:
        if laid is not None:
            self._laid, self._read_at = laid, -math.inf
            self._look(replace(self._looks, laid=()))

    def action_smooth(self) -> None:
        at = SMOOTHINGS.index(self._looks.smoothing)
        self._look(replace(self._looks, smoothing=SMOOTHINGS[(at + 1) % len(SMOOTHINGS)]))

    def action_zoom(self, factor: float) -> None:
        whole = self._whole
        if whole is not None:
            first, last = self._looks.window or whole
            at = self._looks.cursor if self._looks.cursor is not None else (first + last) / 2
            self._look(replace(self._looks, window=zoomed((first, last), whole, at, factor)))

    def action_point(self, by: int) -> None:
        """Move the cursor; the first key puts it on the last step in sight."""
        whole = self._whole
        if whole is None:
            return
        cursor, window = self._looks.cursor, self._looks.window
        at = round(window[1] if window else whole[1]) if cursor is None else round(cursor) + by
        self._point(max(whole[0], min(float(at), whole[1])))

    def _point(self, x: float) -> None:
        """The window follows the cursor."""
        seen = self._looks.window
        if seen is not None and not seen[0] <= x <= seen[1]:
            by = x - (seen[0] if x < seen[0] else seen[1])
            seen = seen[0] + by, seen[1] + by
        self._look(replace(self._looks, cursor=x, window=seen))

    def action_plain(self) -> None:
        self._look(replace(self._looks, cursor=None, window=None))

    @on(Curve.Pointed)
    def _pointed(self, event: Curve.Pointed) -> None:
        whole = self._whole
        if event.curve.id != "dev" and whole is not None:
            self.focus()
            self._point(max(whole[0], min(float(round(event.x)), whole[1])))

    @on(Curve.Zoomed)
    def _zoomed(self, event: Curve.Zoomed) -> None:
        whole = self._whole
        if event.curve.id != "dev" and whole is not None:
            window = self._looks.window or whole
            self._look(replace(self._looks, window=zoomed(window, whole, event.x, event.factor)))

    @property
    def _whole(self) -> tuple[float, float] | None:
        """First and last step of what is drawn."""
        view = self._view
        chosen = self._training(view) if view is not None else None
        rows = [*view.metrics.get(chosen, ())] if view is not None and chosen is not None else []
        steps = [row.step for row in (*rows, *(row for one in self._looks.laid for row in one.rows))]
        return (float(min(steps)), float(max(steps))) if steps and min(steps) < max(steps) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "turn" or self.query_one("#small").display

    def on_resize(self) -> None:
        self._show_rules()
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
            window(self).read_rollout(opens.id, back="curves")

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


def _paged(found: Sequence[Panel], at: int, absent: str, width: int) -> Line:
    """Which panel is drawn above, of how many, and which there are not."""
    said = "  ".join(f"[{panel.title}]" if place == at else panel.title for place, panel in enumerate(found))
    return line((fit("  ·  ".join(filter(None, (said, SIGNALS, absent))), width), DIM))


def _told(view: View, chosen: str | None, looks: Looks, width: int) -> Line:
    if chosen is None:
        return line((fit(NONE if view.known else READING, width), DIM))
    step, place = view.state.step(chosen), view.trainings.index(chosen) + 1
    plan = step.proposal.plan
    made = view.metrics[chosen][-1].step
    said = f"{plan.algorithm} · step {made}/{plan.steps} · lr {plan.learning_rate:g}" if plan else f"step {made}"
    ended = (
        step.trained.stopped if step.trained else "under way" if step is view.state.current else "no adapter came of it"
    )
    head = f"training {place} of {len(view.trainings)}  "
    seen = _seen(looks)
    rest = f"{seen}{said} · {one_line(ended, 60)} · {one_line(step.proposal.title, 80)}"
    return line((head, STRONG), (chosen, ACCENT), "  ", fit(rest, max(4, width - len(head) - len(chosen) - 2)))


def _seen(looks: Looks) -> str:
    """How the curves are looked at, where not as they are."""
    said = [f"{one.tag} = {one.name}" for one in looks.laid]
    said += [f"smoothed {looks.smoothing:g}"] if looks.smoothing else []
    said += [f"steps {looks.window[0]:.0f}–{looks.window[1]:.0f}"] if looks.window else []
    said += [f"at step {looks.cursor:g}"] if looks.cursor is not None else []
    return f"{' · '.join(said)} · " if said else ""
