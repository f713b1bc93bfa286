"""Columns of plain text, aligned by what a terminal shows: a Chinese character is two cells wide."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from sia_tui.core.text import clean


def cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [tuple(head), *(tuple(_cell(value) for value in row) for row in rows)]
    widths = [max(cells(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(text + " " * (width - cells(text)) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: object) -> str:
    """On one line: a name with a line break in it is no row."""
    return clean(str(value)).replace("\n", "␊").replace("\t", "␉")
