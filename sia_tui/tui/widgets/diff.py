"""A diff to read: line numbers, signs beside the colours, changed words marked. Costs what is in sight."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content, Span
from textual.message import Message
from textual.strip import Strip

from sia_tui.tui.diffing import Diff, Row, Shown
from sia_tui.tui.syntax import Syntax
from sia_tui.tui.widgets.lines import Lines

SIGNS = {"add": "+", "remove": "−"}
GROUNDS = {"add": "on $success 14%", "remove": "on $error 14%"}
# On so much ground only what is plain can be read, whatever the word is.
WORDS = {
    "add": "bold underline $foreground on $success 38%",
    "remove": "bold underline $foreground on $error 38%",
}
SIGN_STYLES = {"add": "bold $text-success", "remove": "bold $text-error"}
# Green and red are the signs'; bold and underlined are the words that changed.
INKS = {
    "comment": "italic $foreground 80%",
    "string": "$text-accent",
    "number": "$text-warning",
    "keyword": "$text-primary",
    "name": "$text-secondary",
}
WHOLE = {"file": "bold $text-accent", "hunk": "$text-primary", "note": "italic $text-muted"}


class DiffView(Lines):
    """Rows of a Diff, scrolled both ways; the line numbers stay in place."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"diff--number"}

    DEFAULT_CSS = """
    DiffView {
        overflow-x: auto;
        scrollbar-size: 1 1;
        & > .diff--number { color: $text-muted; background: $panel; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket,n", "hunk(1)", "next hunk", show=False),
        Binding("left_square_bracket,N", "hunk(-1)", "previous hunk", show=False),
        Binding("left", "sideways(-8)", "left", show=False),
        Binding("right", "sideways(8)", "right", show=False),
        Binding("0", "sideways(-100000)", "start of the line", show=False),
    ]

    @dataclass
    class Picked(Message):
        """The person clicked on a hunk's first row: whoever shows the diff knows whether it may be taken now."""

        diff: DiffView

        @property
        def control(self) -> DiffView:
            return self.diff

    @dataclass
    class Toggled(Message):
        """The person took a hunk, or dropped it."""

        diff: DiffView

        @property
        def control(self) -> DiffView:
            return self.diff

    def __init__(self, *, empty: str = "", id: str | None = None, classes: str | None = None) -> None:
        super().__init__(has_cursor=False, empty=empty, id=id, classes=classes)
        self.diff = Diff()
        self._syntax = Syntax(self.diff)
        self.choosing = False
        """Whether hunks can be taken one by one."""
        self.taken: frozenset[int] = frozenset()
        """Numbers of the hunks that are, from 0."""
        self.at = 0
        """The one that the next toggle is about."""
        self._digits = 0
        self._heads: tuple[int, ...] = ()
        self._files: tuple[int, ...] = ()
        """Lines on which hunks and files begin."""

    def show(self, diff: Diff, choosing: bool = False, taken: frozenset[int] | None = None) -> None:
        """Show another diff, from its beginning; unless it is said which hunks are taken, all are."""
        self.diff, self.choosing, self.at = diff, choosing, 0
        self._syntax = Syntax(diff)
        self.taken = frozenset(range(len(diff.hunks))) if taken is None else taken
        self._digits = len(str(diff.last_line))
        self._lay()
        self.scroll_to(0, 0, animate=False, immediate=True, force=True)

    def _lay(self) -> None:
        """Say which lines there are."""
        self._heads, self._files = self.diff.hunks, self.diff.files
        self.show_rows(len(self.diff.rows), self._content, wide=self._gutter_width + 2 + self.diff.width)

    def take(self) -> None:
        """The hunk that the cursor is at, or drop it."""
        if self.choosing and self.diff.hunks:
            self.taken ^= {self.at}
            self._redraw()
            self.post_message(self.Toggled(self))

    def action_file(self, way: int) -> None:
        """To the first hunk of the next file, or of the one before."""
        at = self.file + way
        if self._heads and 0 <= at < len(self._files):
            self.go_to_file(at)

    @property
    def file(self) -> int:
        """Which one the cursor is in, from 0; where hunks are not taken, the first row in sight."""
        here = self._heads[self.at] if self.choosing and self._heads else int(self.scroll_offset.y)
        return max(0, bisect_right(self._files, here) - 1)

    def go_to_file(self, number: int) -> None:
        row = self._files[number]
        self._go(max(0, min(bisect_left(self._heads, row), len(self._heads) - 1)), row)

    def take_file(self, hunks: frozenset[int]) -> None:
        """All of a file's hunks, or drop them where all are taken."""
        self.taken = self.taken - hunks if hunks <= self.taken else self.taken | hunks
        self._redraw()
        self.post_message(self.Toggled(self))

    def on_click(self, event: events.Click) -> None:
        row = self.scroll_offset.y + event.y - self.gutter.top
        at = bisect_right(self._heads, row) - 1
        if self.choosing and 0 <= row < self.count and at >= 0:
            self.at = at
            self._redraw()
            if row == self._heads[at]:
                self.post_message(self.Picked(self))

    @property
    def hunk(self) -> int:
        """Which hunk the first row in sight belongs to, from 1; 0 before the first."""
        return bisect_right(self._heads, int(self.scroll_offset.y))

    def render_line(self, y: int) -> Strip:
        index = self.scroll_offset.y + y
        if index >= len(self.diff.rows):
            return super().render_line(y)
        numbers = Segment(self._numbers(self.diff.rows[index]), self.get_component_rich_style("diff--number"))
        body = super().render_line(y)
        return Strip.join([Strip([numbers], self._gutter_width), body.crop(0, body.cell_length - self._gutter_width)])

    def action_hunk(self, way: int) -> None:
        if self.choosing:
            at = self.at + way
            if 0 <= at < len(self._heads):
                self._go(at, self._heads[at])
            return
        top, hunks = int(self.scroll_offset.y), self._heads
        at = bisect_right(hunks, top) if way > 0 else bisect_left(hunks, top) - 1
        if 0 <= at < len(hunks):
            self.scroll_to(y=hunks[at], animate=False, immediate=True, force=True)

    def action_sideways(self, by: int) -> None:
        self.scroll_to(x=max(0, self.scroll_x + by), animate=False, immediate=True, force=True)

    def _go(self, hunk: int, row: int) -> None:
        """To a hunk, whose first row of interest this is; where all of the diff is in sight nothing has to move."""
        self.at = hunk
        self._redraw()
        if not self.scroll_offset.y <= row < self.scroll_offset.y + max(1, self.size.height - 2):
            self.scroll_to(y=row, animate=False, immediate=True, force=True)

    def _redraw(self) -> None:
        self._strips.clear()
        self.refresh()

    @property
    def _gutter_width(self) -> int:
        return 2 * self._digits + 3

    def _numbers(self, row: Row) -> str:
        old, new = ("" if number is None else str(number) for number in (row.old, row.new))
        return f" {old:>{self._digits}} {new:>{self._digits}} "

    def _content(self, index: int, width: int) -> Content:
        row = self.diff.rows[index]
        shown = self.diff.shown(index)
        if row.kind == "hunk" and self.choosing:
            return self._header(bisect_left(self.diff.hunks, index), shown)
        if row.kind in WHOLE:
            return Content.assemble((shown.text, WHOLE[row.kind]))
        text = self._inked(index, shown.text)
        return _changed(row, shown, text, width) if row.kind in SIGNS else Content.assemble("  ", text)

    def _inked(self, index: int, text: str, skipped: int = 0) -> Content:
        """`text`, which is the row's from `skipped` characters on, with its syntax coloured."""
        inks = self._syntax.inks(index)
        spans = [(max(0, start - skipped), min(end - skipped, len(text)), INKS[kind]) for start, end, kind in inks]
        return Content(text, [Span(*span) for span in spans if span[0] < span[1]])

    def _header(self, number: int, shown: Shown) -> Content:
        """What stands over a hunk that may be taken or dropped."""
        taken, here = number in self.taken, number == self.at
        box = ("[✓] take", "bold $text-success") if taken else ("[ ] dropped", "bold $text-warning")
        told = f"  hunk {number + 1} of {len(self.diff.hunks)}"
        return Content.assemble(
            ("▸ " if here else "  ", "bold $accent"),
            box,
            (told, "bold" if here else ""),
            (f"  {shown.text}", "$text-muted"),
        )


def _changed(row: Row, shown: Shown, text: Content, width: int) -> Content:
    content = Content.assemble((f"{SIGNS[row.kind]} ", SIGN_STYLES[row.kind]), text)
    content = content.pad_right(max(0, width - content.cell_length)).stylize(GROUNDS[row.kind])
    for start, end in shown.marks:
        content = content.stylize(WORDS[row.kind], start + 2, end + 2)
    return content
