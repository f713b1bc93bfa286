"""A diff to read: line numbers, signs beside the colours, changed words marked. Costs what is in sight."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.strip import Strip

from sia_tui.tui.diffing import Diff, Row, Shown
from sia_tui.tui.widgets.lines import Lines

_SIGNS = {"add": "+", "remove": "−"}
_GROUNDS = {"add": "on $success 14%", "remove": "on $error 14%"}
_WORDS = {"add": "bold underline on $success 38%", "remove": "bold underline on $error 38%"}
_SIGN_STYLES = {"add": "bold $text-success", "remove": "bold $text-error"}
_WHOLE = {"file": "bold $text-accent", "hunk": "$text-primary", "note": "italic $text-muted"}


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
        Binding("left,h", "sideways(-8)", "left", show=False),
        Binding("right,l", "sideways(8)", "right", show=False),
        Binding("0", "sideways(-100000)", "start of the line", show=False),
    ]

    def __init__(self, *, empty: str = "", id: str | None = None, classes: str | None = None) -> None:
        super().__init__(has_cursor=False, empty=empty, id=id, classes=classes)
        self.diff = Diff()
        self._digits = 0

    def show(self, diff: Diff) -> None:
        """Show another diff, from its beginning."""
        self.diff = diff
        self._digits = len(str(diff.last_line))
        self.show_rows(len(diff.rows), self._content, wide=self._gutter_width + 2 + diff.width)
        self.scroll_to(0, 0, animate=False, immediate=True, force=True)

    @property
    def hunk(self) -> int:
        """Which hunk the first row in sight belongs to, from 1; 0 before the first."""
        return bisect_right(self.diff.hunks, int(self.scroll_offset.y))

    def render_line(self, y: int) -> Strip:
        index = self.scroll_offset.y + y
        if index >= len(self.diff.rows):
            return super().render_line(y)
        numbers = Segment(self._numbers(self.diff.rows[index]), self.get_component_rich_style("diff--number"))
        body = super().render_line(y)
        return Strip.join([Strip([numbers], self._gutter_width), body.crop(0, body.cell_length - self._gutter_width)])

    def action_hunk(self, way: int) -> None:
        top, hunks = int(self.scroll_offset.y), self.diff.hunks
        at = bisect_right(hunks, top) if way > 0 else bisect_left(hunks, top) - 1
        if 0 <= at < len(hunks):
            self.scroll_to(y=hunks[at], animate=False, immediate=True, force=True)

    def action_sideways(self, by: int) -> None:
        self.scroll_to(x=max(0, self.scroll_x + by), animate=False, immediate=True, force=True)

    @property
    def _gutter_width(self) -> int:
        return 2 * self._digits + 3

    def _numbers(self, row: Row) -> str:
        old, new = ("" if number is None else str(number) for number in (row.old, row.new))
        return f" {old:>{self._digits}} {new:>{self._digits}} "

    def _content(self, index: int, width: int) -> Content:
        row = self.diff.rows[index]
        shown = self.diff.shown(index)
        if row.kind in _WHOLE:
            return Content.assemble((shown.text, _WHOLE[row.kind]))
        if row.kind == "context":
            return Content(f"  {shown.text}")
        return _changed(row, shown, width)


def _changed(row: Row, shown: Shown, width: int) -> Content:
    content = Content.assemble((f"{_SIGNS[row.kind]} ", _SIGN_STYLES[row.kind]), shown.text)
    content = content.pad_right(max(0, width - content.cell_length)).stylize(_GROUNDS[row.kind])
    for start, end in shown.marks:
        content = content.stylize(_WORDS[row.kind], start + 2, end + 2)
    return content
