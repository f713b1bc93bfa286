"""The first line: which run, what it does, whether its engine lives."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import Static

from sia_tui.tui.heading import Piece


class Header(Static):
    """One line; loud while a gate waits and the person is elsewhere."""

    DEFAULT_CSS = """
    Header {
        height: 1;
        background: $panel;
        text-wrap: nowrap;
        &.-loud { background: $warning-muted; }
        &.-flash { background: $warning; color: auto; text-style: bold; }
    }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)
        self._said: tuple[object, ...] = ()

    def show(self, left: Sequence[Piece], right: Sequence[Piece], loud: bool) -> None:
        """`loud`: a gate waits, and the person looks elsewhere."""
        said = (tuple(left), tuple(right), self.size.width)
        self.set_class(loud, "-loud")
        if said == self._said:
            return
        self._said = said
        before, after = Content.assemble(*left), Content.assemble(*right)
        room = self.size.width - cell_len(after.plain)
        if room < cell_len(before.plain):
            self.update(before, layout=False)
        else:
            self.update(before.pad_right(room - cell_len(before.plain)) + after, layout=False)
