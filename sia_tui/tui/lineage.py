"""Which generation came of which, as lanes of line drawing: what lasts goes straight down, all else branches off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDEST = 6
"""Lanes that are drawn; further ones share the last."""


@dataclass(frozen=True)
class Node:
    """One row of the history, oldest first."""

    parent: int | None
    """Its row; None where it came of nothing in sight."""
    lasting: bool = False
    """Kept, or not decided yet: what may go on in its parent's lane."""


@dataclass(frozen=True)
class Rail:
    """What is drawn before and after the mark of a row."""

    before: str
    after: str


ALONE = Rail("", "")


def rails(nodes: Sequence[Node]) -> list[Rail]:
    """Two cells a lane, all of the same width. A lane is inherited by the last child alone, so that nothing that
    branches off a lane below a row can be taken for that row's. Raises ValueError where a parent stands below its child."""
    if any(node.parent is not None and not 0 <= node.parent < row for row, node in enumerate(nodes)):
        raise ValueError("a generation stands above the one that it came of")
    ends = _ends(nodes)
    lanes: list[int] = []
    for row, node in enumerate(nodes):
        lanes.append(_lane(row, node, lanes, ends))
    width = max(lanes, default=0) + 1
    return [_rail(row, node, lanes, ends, width) for row, node in enumerate(nodes)]


def _ends(nodes: Sequence[Node]) -> list[int]:
    """The row of each one's last child; its own where it has none."""
    ends = list(range(len(nodes)))
    for row, node in enumerate(nodes):
        if node.parent is not None:
            ends[node.parent] = row
    return ends


def _lane(row: int, node: Node, lanes: Sequence[int], ends: Sequence[int]) -> int:
    """Its parent's, or the first one to the right of that in which nothing goes on below `row`."""
    if node.parent is not None and node.lasting and ends[node.parent] == row:
        return lanes[node.parent]
    first = 0 if node.parent is None else min(lanes[node.parent] + 1, WIDEST - 1)
    taken = {lane for above, lane in enumerate(lanes) if ends[above] > row}
    return next((lane for lane in range(first, WIDEST) if lane not in taken), WIDEST - 1)


def _rail(row: int, node: Node, lanes: Sequence[int], ends: Sequence[int], width: int) -> Rail:
    passing = {lanes[above] for above in range(row) if ends[above] > row}
    cells = ["│" if lane in passing else " " for lane in range(width)]
    gaps, here = [" "] * width, lanes[row]
    root = here if node.parent is None else lanes[node.parent]
    for lane in range(root, here):
        gaps[lane] = "─"
        cells[lane] = ("├" if lane in passing else "╰") if lane == root else ("┼" if lane in passing else "─")
    drawn = "".join(f"{cell}{gap}" for cell, gap in zip(cells, gaps, strict=True))
    return Rail(drawn[: 2 * here], drawn[2 * here + 1 :])
