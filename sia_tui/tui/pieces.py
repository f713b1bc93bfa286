"""Lines of styled text before any terminal: what the panes say, as plain data. Styles are names of the theme's colours."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sia_tui.core.telling import points
from sia_tui.core.text import clean, one_line

GOOD = "$text-success"
BAD = "$text-error"
WARN = "$text-warning"
ACCENT = "$text-accent"
DIM = "$foreground-muted"
STRONG = "bold"
HEAD = "bold $text-accent"

KEYS: Mapping[str, str] = {
    "app.gate": "3",
    "app.rollouts": "4",
    "app.history": "6",
    "app.start": "R",
    "app.pause": "p",
    "app.end-contract": "x",
    "app.dialogue": "m",
    "app.why": "w",
    "app.next-gate": "W",
}
"""What texts name, by the ids of its bindings, as it is unless a person has set it."""

Piece = str | tuple[str, str]
_EIGHTHS = " ▏▎▍▌▋▊▉"
_ROOM_WIDE = "WF"


@dataclass(frozen=True)
class Opens:
    """What choosing a line leads to: an episode, or both answers to a case that changed sides."""

    what: Literal["episode", "case"]
    id: str


@dataclass(frozen=True)
class Line:
    """Pieces of text with their styles, left to right."""

    pieces: tuple[tuple[str, str], ...] = ()
    opens: Opens | None = None

    @property
    def plain(self) -> str:
        return "".join(text for text, _ in self.pieces)


Laid = Callable[[int], Sequence[Line]]
"""A text as it is laid out in so many cells."""


def line(*pieces: Piece, opens: Opens | None = None) -> Line:
    """A line of cleaned pieces: control characters, line breaks too, become marks."""
    pairs = (piece if isinstance(piece, tuple) else (piece, "") for piece in pieces)
    return Line(tuple((_flat(text), style) for text, style in pairs), opens)


def _flat(text: str) -> str:
    return text if text.isprintable() else clean(text).replace("\n", "␊").replace("\t", "␉")


def head(title: str, note: str = "") -> Line:
    """A section's heading."""
    return line((title, HEAD), (f" · {note}" if note else "", DIM))


def bar(share: float, width: int) -> str:
    """A horizontal bar of `share` of `width` cells, in eighths of a cell; something for anything above nothing."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    eighths = max(eighths, 1 if share > 0 else 0)
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def cells(text: str) -> int:
    """Cells that cleaned text takes up."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


@lru_cache(maxsize=8192)
def _cells(char: str) -> int:
    return 2 if unicodedata.east_asian_width(char) in _ROOM_WIDE else not unicodedata.combining(char)


def fit(text: str, width: int) -> str:
    """One cleaned line of exactly `width` cells: cut with an ellipsis or filled."""
    return cut(one_line(text, 4 * max(width, 1)), width)


def cut(text: str, width: int) -> str:
    """Cleaned text, its spaces as they are, of exactly `width` cells: cut with an ellipsis or filled."""
    if cells(text) > width:
        kept = ""
        for char in text:
            if cells(kept) + cells(char) > width - 1:
                break
            kept += char
        text = f"{kept}…" if width > 0 else ""
    return text + " " * (width - cells(text))


def wrap(text: str, width: int, most: int = 10_000) -> list[str]:
    """Cleaned lines of at most `width` cells, broken at spaces where there are any; at most `most` of them."""
    lines: list[str] = []
    for paragraph in clean(text).expandtabs(4).split("\n"):
        lines += _wrapped(paragraph, max(2, width), most - len(lines))
        if len(lines) >= most:
            break
    return lines


def laid_out(text: str) -> Laid:
    """Plain text, each of its lines broken where it has to be."""
    return lambda width: [line(row) for row in wrap(text, width)]


def _wrapped(text: str, width: int, most: int) -> list[str]:
    lines: list[str] = []
    while text and len(lines) < most:
        end = _fitting(text, width)
        space = text.rfind(" ", 0, end + 1) if end < len(text) else -1
        cut = space if space > 0 else end
        lines.append(text[:cut].rstrip() if space > 0 else text[:cut])
        text = text[cut + 1 :] if space > 0 else text[cut:]
    return lines or ([""] if most > 0 else [])


def _fitting(text: str, width: int) -> int:
    """How many characters fit into so many cells; at least one."""
    if text[: width + 1].isascii():
        return max(1, min(len(text), width))
    used = 0
    for at, char in enumerate(text):
        used += _cells(char)
        if used > width:
            return max(1, at)
    return len(text)


def interval(lo: float, hi: float) -> str:
    """A 95 % interval of a gain, in points."""
    return f"[{points(lo)}, {points(hi)}]"


def minutes(seconds: float) -> str:
    """`40 s`, `3.5 min`, `2.1 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def thousands(value: float) -> str:
    return f"{value:,.0f}"


def sentence(text: str, most: int = 240) -> str:
    """The first sentence, on one cleaned line."""
    flat = one_line(text, 2000)
    ends = [at for mark in (". ", "; ", "。") if (at := flat.find(mark)) > 0]
    return one_line(flat[: min(ends) + 1] if ends else flat, most)


def table(rows: Sequence[Sequence[str]], gap: int = 2) -> list[list[str]]:
    """Rows with every column but the last filled to its widest."""
    widths = [
        max((cells(row[at]) for row in rows if at < len(row)), default=0)
        for at in range(max(map(len, rows), default=0))
    ]
    return [
        [text + " " * (widths[at] - cells(text) + gap) if at < len(row) - 1 else text for at, text in enumerate(row)]
        for row in rows
    ]
