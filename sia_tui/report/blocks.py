"""What a page is made of. Texts are as they came: whoever draws a page makes them harmless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Code:
    """Text kept line by line."""

    title: str
    text: str
    folded: bool = True
    """Out of sight until it is asked for."""


@dataclass(frozen=True)
class Figure:
    """A picture, with its numbers for whoever cannot see it."""

    title: str
    svg: str
    """Made by `svg`, which has escaped every text in it."""
    numbers: Table


Block = Words | Table | Code | Figure


@dataclass(frozen=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    title: str
    sections: tuple[Section, ...]
