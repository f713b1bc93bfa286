"""One trajectory, read from beginning to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message

from sia_tui.core.episodes import Attempt, Score
from sia_tui.store.reader import EpisodeRow
from sia_tui.tui.pieces import Line
from sia_tui.tui.tokens import Texts, policy_folder, texts_of
from sia_tui.tui.told import story
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.window import window


class TrajectoryView(Lines):
    """Scrolls; `n` and `N` ask for its neighbours, `c` for other answers to the case, Esc for what was there before."""

    DEFAULT_CSS = "TrajectoryView { padding: 0 1; }"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "turn(1)", "next", tooltip="the next rollout of the list"),
        Binding("N", "turn(-1)", "previous", tooltip="the rollout before it in the list"),
        Binding("t", "tokens", "tokens", tooltip="replies token by token, and how sure the policy was of each"),
        Binding("c", "across", "across", tooltip="this case as other generations answered it, side by side"),
        Binding("y", "copy", "copy", tooltip="the whole trajectory to the terminal's clipboard"),
        Binding("escape,backspace", "close", "back", key_display="esc", tooltip="back to where you came from"),
    ]

    @dataclass
    class Turned(Message):
        """The next (1) or previous (-1) one is wanted."""

        way: int

    class Closed(Message):
        pass

    @dataclass
    class Across(Message):
        """The same case by other generations is wanted."""

        row: EpisodeRow

    def __init__(self, id: str | None = None) -> None:
        super().__init__(has_cursor=False, empty="reading …", id=id)
        self.has_neighbours = True
        """Whether there is a list to turn in."""
        self._texts: Texts | None = None
        """Set while replies are told token by token."""
        self._told: tuple[EpisodeRow, str, Attempt, Score, bool] | None = None

    def show(self, row: EpisodeRow, where: str, attempt: Attempt, score: Score, over: bool) -> None:
        """Show another trajectory, from its beginning."""
        self._told = (row, where, attempt, score, over)
        self.show_list(self._lines(*self._told))
        self.scroll_to(0, 0, animate=False, immediate=True, force=True)

    def say(self, lines: Sequence[Line]) -> None:
        """Show these lines in place of a trajectory."""
        self._told = None
        self.show_list([content(line) for line in lines])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return super().check_action(action, parameters) and (action != "turn" or self.has_neighbours)

    def action_turn(self, way: int) -> None:
        self.post_message(self.Turned(way))

    def action_close(self) -> None:
        self.post_message(self.Closed())

    def action_tokens(self) -> None:
        here = window(self)
        self._texts = texts_of(policy_folder(here.paths, here.view)) if self._texts is None else None
        self._lay()

    def action_across(self) -> None:
        if self._told is not None:
            self.post_message(self.Across(self._told[0]))

    def action_copy(self) -> None:
        if self._told is not None:
            row, where, attempt, score, over = self._told
            self.app.copy_to_clipboard("\n".join(told.plain for told in story(row, where, attempt, score, 400, over)))
            self.notify("copied, as far as this terminal allows it", timeout=3)

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self._lay()

    def _lay(self) -> None:
        if self._told is not None:
            self.rewrap(self._lines(*self._told))

    def _lines(self, row: EpisodeRow, where: str, attempt: Attempt, score: Score, over: bool) -> list[Content]:
        told = story(row, where, attempt, score, max(20, self.room), over, self._texts)
        return [content(line) for line in told]
