"""A file with, beside every line, the step that wrote it and what it gained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sia_tui.core.blame import Credit, Written
from sia_tui.core.telling import points
from sia_tui.tui.diffing import expand
from sia_tui.tui.pieces import ACCENT, BAD, DIM, GOOD, Line, cut, fit, line
from sia_tui.tui.scores import LETTERS


@dataclass(frozen=True)
class Blamed:
    """One file of the harness."""

    path: str
    lines: Sequence[Written]
    credits: Mapping[str, Credit]
    """By commit."""

    def credit(self, row: int) -> Credit:
        return self.credits[self.lines[row].commit]

    def shares(self) -> list[tuple[Credit, int]]:
        """How many lines each step wrote of it, the most first."""
        counts: dict[str, int] = {}
        for written in self.lines:
            counts[written.commit] = counts.get(written.commit, 0) + 1
        return [(self.credits[commit], count) for commit, count in sorted(counts.items(), key=lambda one: -one[1])]


def row(found: Blamed, at: int, width: int) -> Line:
    """A step is named where its lines begin; those below are its own too."""
    written, given = found.lines[at], found.credit(at)
    first = at == 0 or found.lines[at - 1].commit != written.commit
    glyph, tone = _mark(given)
    gain = "" if given.gain is None else points(given.gain)
    margin = f"{fit(given.name, 11)} {LETTERS[given.lever]} {gain:>6}" if first else " " * 20
    text = expand(written.text).text
    return line(
        (margin, ACCENT if first else DIM),
        (f" {glyph if first else '│'} ", tone),
        (f"{written.number:>4}  ", DIM),
        cut(text, max(1, width - 30)),
    )


def foot(found: Blamed, at: int, width: int) -> list[Line]:
    """Of the line under the cursor: the step's title and fate; and whose lines the file is made of."""
    given = found.credit(at)
    glyph, tone = _mark(given)
    span = (
        "" if given.gain is None else f" {points(given.gain)} [{points(given.lo or 0)}, {points(given.hi or 0)}] on dev"
    )
    shares = "  ".join(f"{one.name} {count}" for one, count in found.shares()[:8])
    return [
        line((f"{glyph} {given.outcome}", tone), f"{span}   ", (fit(given.title, max(10, width - 60)), "bold")),
        line((cut(f"lines by: {shares}", width), DIM)),
    ]


def _mark(given: Credit) -> tuple[str, str]:
    if given.outcome == "kept":
        return "●", GOOD
    if given.outcome == "rolled back":
        return "○", BAD
    return ("✗", BAD) if given.outcome.startswith("refused") else ("·", DIM)
