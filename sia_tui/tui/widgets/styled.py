"""Plain lines as Textual's content: pieces are set side by side, never read as markup."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content

from sia_tui.tui.pieces import Line


def content(line: Line) -> Content:
    return Content.assemble(*line.pieces)


def paragraph(lines: Iterable[Line]) -> Content:
    """Lines under each other."""
    return Content("\n").join([content(line) for line in lines])
