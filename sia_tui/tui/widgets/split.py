"""A diff side by side: what was on the left, what came on the right. Costs what is in sight."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from sia_tui.tui.beside import Pair, pairs
from sia_tui.tui.diffing import Diff
from sia_tui.tui.pieces import cut
from sia_tui.tui.widgets.diff import GROUNDS, SIGN_STYLES, SIGNS, WHOLE, WORDS
from sia_tui.tui.widgets.lines import Lines


class SplitView(Lines):
    """Rows of a Diff in two halves that scroll sideways together."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket,n", "hunk(1)", "next hunk", show=False),
        Binding("left_square_bracket,N", "hunk(-1)", "previous hunk", show=False),
        Binding("left", "sideways(-8)", "left", show=False),
        Binding("right", "sideways(8)", "right", show=False),
        Binding("0", "sideways(-100000)", "start of the line", show=False),
    ]

    def __init__(self, *, empty: str = "", id: str | None = None, classes: str | None = None) -> None:
        super().__init__(has_cursor=False, empty=empty, id=id, classes=classes)
        self.diff = Diff()
        self._pairs: tuple[Pair, ...] = ()
        self._hunks: tuple[int, ...] = ()
        self._digits = self._aside = 0

    def show(self, diff: Diff) -> None:
        """Show another diff, from its beginning."""
        self.diff, self._pairs = diff, pairs(diff.rows)
        self._hunks = tuple(at for at, pair in enumerate(self._pairs) if _kind(diff, pair) == "hunk")
        self._digits, self._aside = len(str(diff.last_line)), 0
        self.show_rows(len(self._pairs), self._content)
        self.scroll_to(0, 0, animate=False, immediate=True, force=True)

    def action_hunk(self, way: int) -> None:
        top = int(self.scroll_offset.y)
        at = bisect_right(self._hunks, top) if way > 0 else bisect_left(self._hunks, top) - 1
        if 0 <= at < len(self._hunks):
            self.scroll_to(y=self._hunks[at], animate=False, immediate=True, force=True)

    def action_sideways(self, by: int) -> None:
        self._aside = max(0, min(self._aside + by, self.diff.width))
        self.show_rows(len(self._pairs), self._content)

    def _content(self, index: int, width: int) -> Content:
        pair = self._pairs[index]
        kind = _kind(self.diff, pair)
        if kind in WHOLE:
            return Content.assemble((self.diff.shown(pair.old or 0).text, WHOLE[kind]))
        half = (width - 1) // 2
        left, right = self._side(pair.old, half, False), self._side(pair.new, width - 1 - half, True)
        return Content.assemble(left, ("│", "$panel-lighten-2"), right)

    def _side(self, place: int | None, width: int, new: bool) -> Content:
        """One half of a row: its number, its sign and as much of the line as there is room for."""
        if place is None:
            return Content(" " * width)
        row, shown = self.diff.rows[place], self.diff.shown(place)
        number = row.new if new else row.old
        head = Content.assemble((f"{number:>{self._digits}} ", "$text-muted"))
        sign = (f"{SIGNS.get(row.kind, ' ')} ", SIGN_STYLES.get(row.kind, ""))
        room = max(1, width - self._digits - 3)
        text = Content(cut(shown.text[self._aside :], room))
        if row.kind not in SIGNS:
            return Content.assemble(head, sign, text)
        text = text.stylize(GROUNDS[row.kind])
        for start, end in shown.marks:
            if end > self._aside:
                text = text.stylize(WORDS[row.kind], max(0, start - self._aside), end - self._aside)
        return Content.assemble(head, sign, text)


def _kind(diff: Diff, pair: Pair) -> str:
    return diff.rows[pair.old if pair.old is not None else pair.new or 0].kind
