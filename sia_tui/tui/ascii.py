"""A screen without glyphs: every line that is drawn passes through here, so that no widget needs to know."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_LINES = "─━┄┅┈┉╌╍═╴╶╸╺▁▔"
_WALLS = "│┃┆┇┊┋╎╏║▏▎▍▌▐▕"
_NAMED = {
    "●": "*", "○": "o", "◌": "o", "■": "#", "▲": "!", "▼": "v", "▸": ">", "◂": "<", "▶": ">", "◀": "<", "✓": "+",
    "✗": "x", "⏸": "=", "…": "~", "·": ".", "–": "-", "—": "-", "→": ">", "←": "<", "↑": "^", "↓": "v", "±": "+",
    "−": "-", "×": "x", "≥": ">", "≤": "<", "≠": "!", "≈": "~", "█": "#", "▓": "#", "▒": ":", "░": ".", "▀": "^",
    "▄": "_", "•": "*", "◆": "*", "◇": "o", "⏎": "<", "␊": "~", "␉": "~", "“": '"', "”": '"', "‘": "'", "’": "'",
    "σ": "s", "Δ": "D", "²": "2", "▉": "#", "▊": "#", "▋": "#", "▪": "*", "⏵": ">", "⏷": "v", "✔": "+", "✘": "x",
    "↷": "/", "⚙": "%", "‖": "=", "°": "o",
}  # fmt: skip
_LEVELS = dict(zip("▁▂▃▄▅▆▇█", "_.:-=+*#", strict=True))
_DOTS = " .,:;-=+*"
"""A braille cell by how many of its dots are set."""
_WIDE = range(0x3000, 0x10000)
"""Where ideographs and what is written with them are."""


class Ascii(LineFilter):
    """Glyphs, borders and plots in ASCII, cell for cell; letters of any script stay, and what is written among ideographs."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment if segment.control or segment.text.isascii() else segment._replace(text=plain(segment.text))
            for segment in segments
        ]


def plain(text: str) -> str:
    """As many cells as `text`."""
    # With the blank before it there is room for both signs.
    return text if text.isascii() else "".join(map(_plain, text.replace(" ±", "+-")))


@lru_cache(4096)
def _plain(char: str) -> str:
    code = ord(char)
    if code < 0x80:
        return char
    if char in _LEVELS:
        return _LEVELS[char]
    if char in _NAMED:
        return _NAMED[char]
    if char in _LINES:
        return "-"
    if char in _WALLS:
        return "|"
    if 0x2800 <= code < 0x2900:
        return _DOTS[(code - 0x2800).bit_count()]
    if 0x2500 <= code < 0x2580:
        return "+"
    if char.isalpha() or char.isdecimal() or _written(char):
        return char
    # Blocks, quadrants and whatever sign a fuller font would have.
    return "?" * cell_len(char) if not 0x2580 <= code < 0x25A0 else "#"


def _written(char: str) -> bool:
    """Whether it stands among ideographs and draws nothing: their punctuation, numerals and fullwidth forms."""
    return ord(char) in _WIDE and unicodedata.east_asian_width(char) in "WFH" and unicodedata.category(char) != "So"
