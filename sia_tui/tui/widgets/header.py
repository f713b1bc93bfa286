"""The first line: which run, what it does, whether its engine lives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
        before = Content.assemble(*left)
        room = self.size.width - cell_len(before.plain)
        after = next(found for found in _fewer(right) if not found.plain or cell_len(found.plain) <= room)
        self.update(before.pad_right(max(0, room - cell_len(after.plain))) + after, layout=False)


def _fewer(pieces: Sequence[Piece]) -> Iterator[Content]:
    """All of them, and ever fewer: the last one matters most."""
    for first in range(len(pieces) + 1):
        yield Content.assemble(*pieces[first:])
