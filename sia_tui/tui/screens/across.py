"""One case as two generations answered it, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from sia_tui.core.episodes import Attempt, Score
from sia_tui.core.state import State
from sia_tui.core.text import one_line
from sia_tui.store.reader import EpisodeRow
from sia_tui.store.version import StoreError
from sia_tui.tui.pieces import WARN, line
from sia_tui.tui.rolled import origin
from sia_tui.tui.screens.over import Over
from sia_tui.tui.told import story
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.widgets.titled import titled
from sia_tui.tui.window import Source


@dataclass(frozen=True)
class Answered:
    """An episode on the case, whole."""

    row: EpisodeRow
    attempt: Attempt
    score: Score


LEFT, RIGHT = Binding.Group("left", compact=True), Binding.Group("right", compact=True)


class Across(Over[None]):
    """Left the answer before, right the one that is asked about, unless it was the first; each side turns to the others there
    are."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,c", "dismiss(None)", "back"),
        Binding(
            "left_square_bracket", "turn(0, -1)", "left: earlier", tooltip="the answer before, on the left", group=LEFT
        ),
        Binding(
            "right_square_bracket", "turn(0, 1)", "left: later", tooltip="the answer after, on the left", group=LEFT
        ),
        Binding(
            "left_curly_bracket",
            "turn(1, -1)",
            "right: earlier",
            tooltip="the answer before, on the right",
            group=RIGHT,
        ),
        Binding(
            "right_curly_bracket", "turn(1, 1)", "right: later", tooltip="the answer after, on the right", group=RIGHT
        ),
    ]

    DEFAULT_CSS = """
    Across {
        & > .sheet { border: none; border-bottom: solid $primary; padding: 0; }
        & Lines { width: 1fr; border: round $panel-lighten-2; padding: 0 1; }
        & Lines:focus { border: round $accent; }
    }
    """

    def __init__(
        self, source: Source, state: State, case: str, episode: str, over: bool, before: str | None = None
    ) -> None:
        """`before`: the key of whom the left answer is to be of; None: of whoever answered last before."""
        super().__init__()
        self._before = before
        self._source, self._state, self._case, self._episode, self._over = source, state, case, episode, over
        self._found: list[Answered] = []
        self._at = [0, 0]

    def compose(self) -> ComposeResult:
        with Horizontal(classes="sheet"):
            yield titled(Lines(id="left", has_cursor=False, empty="reading …"), "before")
            yield titled(Lines(id="right", has_cursor=False, empty="reading …"), "after")

    def on_mount(self) -> None:
        self.run_worker(self._read, thread=True, exit_on_error=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "turn" or len(self._found) > 1

    def action_turn(self, side: int, way: int) -> None:
        self._at[side] = min(max(0, self._at[side] + way), len(self._found) - 1)
        self._lay()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._lay)

    def _read(self) -> None:
        """In a thread: every episode on the case that measured a generation, oldest first."""
        try:
            browser, reader = self._source.browser(), self._source.reader()
            try:
                rows = browser.on_case(self._case, sealed=not self._over)
                found = [(row, reader.trajectory(row.id)) for row in rows]
            finally:
                browser.close()
                reader.close()
        except StoreError as error:
            self.app.call_from_thread(self._say, one_line(str(error), 200))
            return
        self.app.call_from_thread(self._show, [Answered(row, *whole) for row, whole in found if whole])

    def _show(self, found: list[Answered]) -> None:
        self._found = found
        here = next((at for at, one in enumerate(found) if one.row.id == self._episode), len(found) - 1)
        earlier = (at for at in reversed(range(here)) if found[at].row.key == self._before)
        self._at = [next(earlier, max(0, here - 1)), max(here, min(1, len(found) - 1))]
        if not found:
            self._say("no generation was measured on this case, or it is sealed")
        elif len(found) == 1:
            self._say("only one generation answered it", "#left")
        self.refresh_bindings()
        self._lay()

    def _say(self, told: str, side: str = "Lines") -> None:
        for lines in self.query(side).results(Lines):
            lines.show_list([content(line((told, WARN)))])

    def _lay(self) -> None:
        # Of one answer alone the right side.
        for side, at in (("#right", self._at[1]), ("#left", self._at[0]))[: len(self._found)]:
            lines, one = self.query_one(side, Lines), self._found[at]
            where = origin(self._state, one.row)
            titled(lines, f"{where} · {at + 1} of {len(self._found)} on {self._case} · reward {one.row.reward:g}")
            told = story(one.row, where, one.attempt, one.score, max(20, lines.room), self._over)
            lines.rewrap([content(row) for row in told])
