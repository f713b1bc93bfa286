"""Where a text stands in what is read, wherever its lines break."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from sia_tui.core.text import one_line
from sia_tui.store.search import pieces

Hit = tuple[int, int]
"""From which character to which. Spaces are not counted: they come and go where a line breaks."""


@dataclass(frozen=True)
class Found:
    """What was found of a text."""

    terms: tuple[str, ...] = ()
    """The text; its words where it stands nowhere as a whole."""
    hits: Sequence[Hit] = ()

    def told(self, at: int) -> str:
        """Which of the places is on show."""
        said = one_line(" ".join(f"“{term}”" for term in self.terms), 40)
        if self.hits:
            return f"{said} {at + 1} of {len(self.hits)}"
        return f"{said} is nowhere in what is shown" if said else ""


def found(rows: Sequence[str], text: str) -> Found:
    """Where the text stands in unbroken lines, or else its words do, by which a search of the rollouts finds them."""
    whole, words = (text,) if text else (), tuple(pieces(text))
    for terms in (whole, words):
        if terms and (places := _places(rows, terms)):
            return Found(terms, places)
    return Found(whole)


def _places(rows: Sequence[str], terms: Sequence[str]) -> list[Hit]:
    """In order, whatever the case."""
    pattern = re.compile("|".join(map(re.escape, terms)), re.IGNORECASE)
    places: list[Hit] = []
    begins = 0
    for row in rows:
        if matches := list(pattern.finditer(row)):
            before = [0, *accumulate(not char.isspace() for char in row)]
            places += [(begins + before[one.start()], begins + before[one.end()]) for one in matches]
        begins += len("".join(row.split()))
    return places


def among(hits: Sequence[Hit], begins: int, ends: int) -> range:
    """Which hits stand between two places, or partly do."""
    return range(bisect_right(hits, begins, key=lambda hit: hit[1]), bisect_left(hits, ends, key=lambda hit: hit[0]))


def columns(row: str, begins: int, hit: Hit) -> tuple[int, int]:
    """Where in a row that begins at this place the hit stands, as far as it does."""
    places = [at for at, char in enumerate(row) if not char.isspace()]
    first, last = max(0, hit[0] - begins), min(len(places), hit[1] - begins) - 1
    return places[first], places[last] + 1
