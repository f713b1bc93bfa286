"""A unified diff as two columns: which row of the old side stands beside which of the new one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sia_tui.tui.diffing import Row

SIDED = ("context", "add", "remove")


@dataclass(frozen=True)
class Pair:
    """Places of two rows in the diff; one side may be empty, and what is neither (a file, a hunk, a note) stands on both."""

    old: int | None
    new: int | None


def pairs(rows: Sequence[Row]) -> tuple[Pair, ...]:
    """Every row once, in order; removed lines beside the added ones that follow them."""
    return tuple(_pairs(rows))


def _pairs(rows: Sequence[Row]) -> Iterator[Pair]:
    at = 0
    while at < len(rows):
        if rows[at].kind not in ("add", "remove"):
            yield Pair(at, at)
            at += 1
            continue
        middle = _end(rows, at, "remove")
        end = _end(rows, middle, "add")
        for offset in range(max(middle - at, end - middle)):
            old, new = at + offset, middle + offset
            yield Pair(old if old < middle else None, new if new < end else None)
        at = end


def _end(rows: Sequence[Row], at: int, kind: str) -> int:
    while at < len(rows) and rows[at].kind == kind:
        at += 1
    return at
