"""The lanes of the lineage: what is drawn, and that every row's mark stands where its parent's lane leads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.tui.lineage import WIDEST, Node, rails


def drawn(*nodes: Node) -> list[str]:
    return [f"{rail.before}o{rail.after}".rstrip() for rail in rails(nodes)]


def test_what_lasts_goes_straight_and_the_rest_branches_off() -> None:
    seed, kept = Node(None, True), Node(0, True)
    assert drawn(seed, kept, Node(1), Node(1, True), Node(3)) == ["o", "o", "├─o", "o", "╰─o"]


def test_going_back_leaves_the_later_ones_in_a_lane_of_their_own() -> None:
    nodes = Node(None, True), Node(0, True), Node(1, True), Node(2), Node(2, True), Node(1, True), Node(5)
    assert drawn(*nodes) == ["o", "o", "├─o", "│ ├─o", "│ o", "o", "╰─o"]


def test_a_line_over_a_lane_that_goes_on_crosses_it() -> None:
    nodes = Node(None, True), Node(0, True), Node(0), Node(1), Node(0, True)
    assert drawn(*nodes)[2] == "├─┼─o"


def test_a_parent_below_its_child_is_no_history() -> None:
    with pytest.raises(ValueError, match="stands above"):
        rails([Node(1), Node(None)])


@st.composite
def histories(draw: st.DrawFn) -> list[Node]:
    count = draw(st.integers(1, 24))
    return [Node(draw(st.integers(0, row - 1)) if row else None, draw(st.booleans())) for row in range(count)]


@given(histories())
def test_every_child_hangs_on_its_parents_lane(nodes: list[Node]) -> None:
    found = rails(nodes)
    rows = [f"{rail.before}o{rail.after}" for rail in found]
    assert len({len(row) for row in rows}) == 1
    lanes = [len(rail.before) for rail in found]
    for row, node in enumerate(nodes):
        if node.parent is None or max(lanes) >= 2 * (WIDEST - 1):
            continue
        root = lanes[node.parent]
        assert all(rows[at][root] in "│├┼" for at in range(node.parent + 1, row)), "the lane goes on to the child"
        assert rows[row][root] in ("o" if lanes[row] == root else "├╰"), "and leads to it"
