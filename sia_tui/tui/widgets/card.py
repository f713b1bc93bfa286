"""A block of styled lines that are made for the room there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.content import Content
from textual.widget import Widget

from sia_tui.tui.pieces import Line
from sia_tui.tui.widgets.styled import paragraph

Draw = Callable[[int, int], Sequence[Line]]
"""The lines to show in so many cells and rows."""


class Card(Widget):
    """Draws its lines anew whenever they or its size change."""

    DEFAULT_CSS = """
    Card { text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._draw: Draw = lambda width, height: ()
        self._drawn: list[Line] | None = None

    def show(self, draw: Draw) -> None:
        self._draw = draw
        self.look()

    def look(self) -> None:
        """Draw what is another than it was: most of what is shown is not, and drawing is what a window costs."""
        if self._lines() != self._drawn:
            self.refresh()

    def render(self) -> Content:
        self._drawn = self._lines()
        return paragraph(self._drawn)

    def _lines(self) -> list[Line]:
        width, height = self.content_size
        return list(self._draw(width, height)[:height])
