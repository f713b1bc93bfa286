"""The page on which an algorithm is chosen, laid out for a column."""

from __future__ import annotations

from sia_tui.core.advice import Mark, Row, Section
from sia_tui.tui.pieces import DIM, GOOD, STRONG, Line, cells, fit, head, line, wrap

_MARKS: dict[Mark, tuple[str, str]] = {"": ("", ""), "chosen": ("▸ ", GOOD), "later": ("+ ", DIM), "no": ("· ", DIM)}
_LEAST = 28
"""Cells that what follows the labels needs beside them; in narrower columns it stands below."""


def laid(told: Section, width: int) -> list[Line]:
    """Its heading and its rows, labels in a column of their own where there is room for one."""
    label = max(cells(_MARKS[row.mark][0] + row.label) for row in told.rows) + 1
    beside = width - label >= _LEAST
    rows = [_beside(row, label, width) if beside else _below(row, width) for row in told.rows]
    return [head(told.title, told.note), *(part for row in rows for part in row)]


def _beside(row: Row, label: int, width: int) -> list[Line]:
    glyph, tone = _MARKS[row.mark]
    first, *more = wrap(row.text, width - label) or [""]
    named = fit(row.label, label - cells(glyph))
    return [
        line((glyph, tone), (named, _named(row)), (first, _said(row))),
        *(line(" " * label, (part, _said(row))) for part in more),
    ]


def _below(row: Row, width: int) -> list[Line]:
    below = [line("    ", (part, _said(row))) for part in wrap(row.text, width - 4)]
    return [line(_MARKS[row.mark], (fit(row.label, width - 2).rstrip(), _named(row))), *below]


def _named(row: Row) -> str:
    return STRONG if row.mark == "chosen" else DIM


def _said(row: Row) -> str:
    return DIM if row.mark in ("no", "later") else ""
