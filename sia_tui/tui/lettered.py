"""What the lines of one axis are known by without colours: a letter for each, and what sets their names apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from string import ascii_uppercase


def lettered(labels: Sequence[str]) -> list[tuple[str, str]]:
    """A letter and a name for each line of an axis; no letter for one that is alone."""
    if len(labels) < 2:
        return [("", label) for label in labels]
    names, letters = _apart(labels), list[str]()
    for name in names:
        own = (char for char in name.upper() if char.isascii() and char.isalnum())
        letters.append(next((char for char in (*own, *ascii_uppercase) if char not in letters), "+"))
    return list(zip(letters, names, strict=True))


def _apart(labels: Sequence[str]) -> list[str]:
    """Without the words that all begin or all end with: `IS min`, `IS mean` are `min`, `mean`."""
    words = [label.split() for label in labels]
    spare = min(map(len, words)) - 1
    before = min(spare, _alike(words))
    after = min(spare - before, _alike([some[::-1] for some in words]))
    return [" ".join(some[before : len(some) - after]) for some in words]


def _alike(words: Sequence[Sequence[str]]) -> int:
    """How many words all begin with."""
    return sum(1 for _ in takewhile(lambda some: len(set(some)) == 1, zip(*words, strict=False)))
