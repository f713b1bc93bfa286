"""The live pane: how the run stands, what it does now, what comes out of it."""

from __future__ import annotations

from dataclasses import replace

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget

from sia_tui.core.spent import Cost
from sia_tui.core.state import State
from sia_tui.core.text import one_line
from sia_tui.tui.charts import dev_chart
from sia_tui.tui.nodes import node_lines, there
from sia_tui.tui.outlook import away_line, outlook_lines
from sia_tui.tui.phase import phase_lines
from sia_tui.tui.pieces import Line
from sia_tui.tui.scores import newest_row, score_lines
from sia_tui.tui.stream import Failures, episode_line, failure_line, failures
from sia_tui.tui.view import View
from sia_tui.tui.widgets.card import Card
from sia_tui.tui.widgets.curve import Curve
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.widgets.titled import titled
from sia_tui.tui.window import window

_MOST_NODES = 8
"""Lines for nodes and replicas, at most."""


class Course(Curve, can_focus=True):
    """Can be maximised, which is how it is seen where there is little room."""


class LivePane(Widget):
    """Generations and their curve above, the phase and the rollouts below, the outlook at the foot."""

    _newest = 0
    """The line of the newest step: it comes into sight once, when it is new."""
    _scored: State | None = None
    """What the generations' lines were made of."""
    _failing: Failures | None = None

    def compose(self) -> ComposeResult:
        yield Card(id="away")
        with Horizontal(id="above"):
            yield titled(
                Lines(id="scores", classes="frame", empty="no generation yet"), "GENERATIONS · dev ±95 % · hidden"
            )
            yield titled(Course(id="course", classes="frame", empty="no generation measured on dev yet"), "DEV · %")
        with Horizontal(id="below"):
            yield Card(id="phase", classes="frame")
            with Vertical(id="right"):
                yield titled(Lines(id="stream", classes="frame", follow=True, empty="no episode yet"), "ROLLOUTS")
                yield titled(Card(id="nodes", classes="frame"), "NODES AND REPLICAS")
                yield Lines(id="failures", classes="frame", empty="none")
        yield Card(id="outlook")

    def show(self, view: View) -> None:
        self._show_away()
        self._show_scores(view)
        self._show_stream(view)
        self._show_phase(view)
        self.query_one("#course", Curve).show(dev_chart(view.state))
        self._show_failures(view.state)
        self._show_nodes(view)
        outlook, now, keys = self.query_one("#outlook", Card), window(self).now, window(self).keys
        outlook.styles.height = len(outlook_lines(view, now(), max(60, self.size.width - 2), keys))
        outlook.show(lambda width, height: outlook_lines(view, now(), width, keys))

    def on_mount(self) -> None:
        self.set_interval(1.0, self._pass_time)

    @on(Lines.Chosen, "#stream")
    def _read_episode(self, event: Lines.Chosen) -> None:
        rows = window(self).view.recent
        if event.row < len(rows):
            window(self).read_rollout(rows[event.row].id, back="live")

    @on(Lines.Chosen, "#scores")
    def _see_history(self, event: Lines.Chosen) -> None:
        window(self).action_pane("history")

    def _pass_time(self) -> None:
        """What counts seconds goes on counting while nothing else happens."""
        if self.is_on_screen:
            self.query_one("#phase", Card).look()

    def _show_away(self) -> None:
        away, card = window(self).away, self.query_one("#away", Card)
        card.display = away is not None
        if away is not None:
            card.show(lambda width, height: [away_line(away, window(self).now(), width, window(self).keys)])

    def _show_scores(self, view: View) -> None:
        lines, state = self.query_one("#scores", Lines), view.state
        # What is spent changes with every episode, and no generation's line with that.
        if (still := replace(state, cost=Cost(), last_at=None)) == self._scored:
            return
        self._scored = still
        laid: dict[int, list[Line]] = {}

        def row(index: int, width: int) -> Content:
            found = laid.get(width) or laid.setdefault(width, score_lines(state, width))
            return content(found[index])

        lines.show_rows(len(score_lines(state, 80)), row)
        if (newest := newest_row(view.state)) != self._newest:
            self._newest = newest
            self.call_after_refresh(self._see_row, newest)

    def _see_row(self, row: int) -> None:
        """With as much of what came before it as there is room for."""
        lines = self.query_one("#scores", Lines)
        lines.go(0)
        lines.go(row)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_again)

    def _show_again(self) -> None:
        self.show(window(self).view)

    def _show_stream(self, view: View) -> None:
        lines, rows = self.query_one("#stream", Lines), view.recent
        if view.dropped:
            titled(
                lines,
                f"ROLLOUTS · newest {len(rows)}; {view.dropped:,} more on disk ({window(self).keys['app.rollouts']})",
            )
        now = window(self).now()
        lines.show_rows(
            len(rows), lambda index, width: content(episode_line(rows[index], width, view.over, now)), view.dropped
        )

    def _show_failures(self, state: State) -> None:
        found = failures(state)
        # Every episode makes another state, and hardly one another list.
        if found != self._failing:
            self._failing = found
            lines = titled(self.query_one("#failures", Lines), f"WHY THEY FAIL · {found.title}")
            lines.show_rows(
                len(found.ranked), lambda index, width: content(failure_line(found, found.ranked[index], width))
            )

    @on(Lines.Chosen, "#failures")
    def _list_failing(self, event: Lines.Chosen) -> None:
        if self._failing is not None:
            window(self).list_rollouts(self._failing.wanted(self._failing.ranked[event.row]))

    def _show_nodes(self, view: View) -> None:
        card = self.query_one("#nodes", Card)
        card.set_class(there(view), "-there")
        card.styles.height = min(_MOST_NODES, len(view.state.nodes) + len(view.state.replicas)) + 2
        card.show(lambda width, height: node_lines(view, window(self).now(), width, height))

    def _show_phase(self, view: View) -> None:
        card, step = self.query_one("#phase", Card), view.state.current
        title = f"{step.id} · {step.proposal.lever}: {one_line(step.proposal.title, 60)}" if step else "NOW"
        titled(card, title).show(
            lambda width, height: phase_lines(view, window(self).now(), width, height, window(self).keys)
        )
