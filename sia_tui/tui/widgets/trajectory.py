"""One trajectory, read from beginning to end."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
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
from sia_tui.tui.sought import Found, among, columns, found
from sia_tui.tui.tokens import Texts, policy_folder, texts_of
from sia_tui.tui.told import UNBROKEN, story
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.window import window

_MARKS = ("bold underline", "bold reverse")
"""Of a place of the text that is sought, and of the one that was gone to."""


class TrajectoryView(Lines):
    """Scrolls; `n` and `N` go to the places of a text that `/` asks for, `]` and `[` ask for its neighbours, `c` for other
    answers to the case, Esc for what was there before."""

    DEFAULT_CSS = "TrajectoryView { padding: 0 1; }"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "seek", "find", key_display="/", tooltip="a text in it, which is marked and gone to"),
        Binding("n", "hit(1)", "hit", tooltip="the next place of the text; where none is sought, asks for one"),
        Binding("N", "hit(-1)", "hit before", show=False, tooltip="the place of the text before it"),
        Binding("right_square_bracket", "turn(1)", "next", key_display="]", tooltip="the next rollout of the list"),
        Binding("left_square_bracket", "turn(-1)", "previous", show=False, tooltip="the rollout before it in the list"),
        Binding("escape,backspace", "close", "back", key_display="esc", tooltip="back to where you came from"),
        Binding("t", "tokens", "tokens", tooltip="replies token by token, and how sure the policy was of each"),
        Binding("c", "across", "across", tooltip="this case as other generations answered it, side by side"),
        Binding("y", "copy", "copy", tooltip="the whole trajectory to the terminal's clipboard"),
    ]

    @dataclass
    class Turned(Message):
        """The next (1) or previous (-1) one is wanted."""

        way: int

    class Closed(Message):
        pass

    class Asks(Message):
        """A text to go to is wanted."""

    @dataclass
    class Across(Message):
        """The same case by other generations is wanted."""

        row: EpisodeRow

    def __init__(self, id: str | None = None) -> None:
        super().__init__(has_cursor=False, empty="reading …", id=id)
        self.has_neighbours = True
        """Whether there is a list to turn in."""
        self.sought = ""
        """The text whose places are marked, in the next trajectory too."""
        self._found, self._at = Found(), 0
        """Its places, and which of them was gone to."""
        self._texts: Texts | None = None
        """Set while replies are told token by token."""
        self._told: tuple[EpisodeRow, str, Attempt, Score, bool] | None = None

    def show(self, row: EpisodeRow, where: str, attempt: Attempt, score: Score, over: bool) -> None:
        """Show another trajectory, from the first place of what is sought or its beginning."""
        self._told = (row, where, attempt, score, over)
        self.show_list(self._lines(*self._told))
        self.scroll_to(0, 0, animate=False, immediate=True, force=True)
        self.seek(self.sought)

    def seek(self, text: str) -> None:
        """Mark every place of a text, and go to the first one from the top of what is in sight on."""
        self.sought = text
        self._find()
        if self._found.hits:
            here = self._starts[min(round(self.scroll_y), len(self._starts) - 1)]
            self._go_to(bisect_left(self._found.hits, (here, 0)))

    def say(self, lines: Sequence[Line]) -> None:
        """Show these lines in place of a trajectory."""
        self._told = None
        self._find()
        self.show_list([content(line) for line in lines])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return super().check_action(action, parameters) and (action != "turn" or self.has_neighbours)

    def action_turn(self, way: int) -> None:
        self.post_message(self.Turned(way))

    def action_seek(self) -> None:
        self.post_message(self.Asks())

    def action_hit(self, way: int) -> None:
        if self.sought:
            self._go_to(self._at + way)
        else:
            self.action_seek()

    def action_close(self) -> None:
        self.post_message(self.Closed())

    def action_tokens(self) -> None:
        here = window(self)
        self._texts = texts_of(policy_folder(here.paths, here.view)) if self._texts is None else None
        self._lay()
        self._find()

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

    def _find(self) -> None:
        """Look for the text in lines as they are before they are broken."""
        rows: list[str] = []
        if self.sought and self._told is not None:
            row, where, attempt, score, over = self._told
            rows = [told.plain for told in story(row, where, attempt, score, UNBROKEN, over, self._texts)]
        self._found, self._at = found(rows, self.sought if rows else ""), 0
        self._mark()

    def _go_to(self, number: int) -> None:
        """To a place; after the last one to the first."""
        if self._found.hits:
            self._at = number % len(self._found.hits)
            row = bisect_right(self._starts, self._found.hits[self._at][0]) - 1
            if not self.scroll_y <= row < self.scroll_y + self.size.height:
                self._scroll(max(0, row - self.size.height // 3))
            self._mark()

    def _mark(self) -> None:
        self.border_subtitle = Content(self._found.told(self._at))
        self._strips.clear()
        self.refresh()

    def _of_text(self, index: int, width: int) -> Content:
        shown, hits = super()._of_text(index, width), self._found.hits
        if hits:
            begins, ends = self._starts[index : index + 2]
            for number in among(hits, begins, ends):
                shown = shown.stylize(_MARKS[number == self._at], *columns(shown.plain, begins, hits[number]))
        return shown
