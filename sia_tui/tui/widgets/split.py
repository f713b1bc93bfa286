"""A diff side by side: what was on the left, what came on the right. Costs what is in sight."""

from __future__ import annotations

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.strip import Strip

from sia_tui.tui.beside import Pair, pairs
from sia_tui.tui.pieces import cut
from sia_tui.tui.widgets.diff import GROUNDS, SIGN_STYLES, SIGNS, WHOLE, WORDS, DiffView
from sia_tui.tui.widgets.lines import Lines

HALF = 60
"""Cells that a half needs: in fewer, code is cut."""

SIDES = Binding(
    "s", "split", "side by side", show=False, tooltip="the diff side by side, as it begins where there is room, or not"
)
"""Of the pane that the diff stands in."""


class SplitView(DiffView):
    """Rows of a Diff in two halves that scroll sideways together; where there is no room for two, line by line."""

    def __init__(self, *, empty: str = "", id: str | None = None, classes: str | None = None) -> None:
        super().__init__(empty=empty, id=id, classes=classes)
        self._halved = False
        self._chosen: bool | None = None
        """Whether a person wants halves; None: as there is room."""
        self._pairs: tuple[Pair, ...] = ()
        self._aside = 0

    def on_resize(self, event: events.Resize) -> None:
        self._face()

    def turn(self) -> None:
        """The other way than it is shown, whatever room there is from now on."""
        self._chosen = not self._halved
        self._face()

    def _face(self) -> None:
        """As it was chosen or there is room for, with the row that was at the top still there."""
        if self._halved == self._wants_halves:
            return
        top = int(self.scroll_offset.y)
        row = _place(self._pairs[min(top, len(self._pairs) - 1)]) if self._halved and self._pairs else top
        self._lay()
        places = range(len(self._pairs)) if self._halved else ()
        self._scroll(next((at for at in places if row in (self._pairs[at].old, self._pairs[at].new)), row))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        return Lines.render_line(self, y) if self._halved else super().render_line(y)

    def action_sideways(self, by: int) -> None:
        if not self._halved:
            super().action_sideways(by)
            return
        self._aside = max(0, min(self._aside + by, self.diff.width))
        self._redraw()

    @property
    def _wants_halves(self) -> bool:
        return self.room > 2 * HALF if self._chosen is None else self._chosen

    def _lay(self) -> None:
        self._halved, self._aside = self._wants_halves, 0
        if not self._halved:
            super()._lay()
            return
        self._pairs = pairs(self.diff.rows)
        self._heads = self._lines("hunk")
        self._files = self._lines("file")
        self.show_rows(len(self._pairs), self._half)

    def _lines(self, kind: str) -> tuple[int, ...]:
        return tuple(at for at, pair in enumerate(self._pairs) if self.diff.rows[_place(pair)].kind == kind)

    def _half(self, index: int, width: int) -> Content:
        pair = self._pairs[index]
        if self.diff.rows[_place(pair)].kind in WHOLE:
            return self._content(_place(pair), width)
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
        text = self._inked(place, cut(shown.text[self._aside :], room), self._aside)
        if row.kind not in SIGNS:
            return Content.assemble(head, sign, text)
        text = text.stylize(GROUNDS[row.kind])
        for start, end in shown.marks:
            if end > self._aside:
                text = text.stylize(WORDS[row.kind], max(0, start - self._aside), end - self._aside)
        return Content.assemble(head, sign, text)


def _place(pair: Pair) -> int:
    return pair.old if pair.old is not None else pair.new or 0
