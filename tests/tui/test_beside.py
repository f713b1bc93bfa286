"""A diff as two columns: nothing is lost, nothing stands twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sia_tui.tui.beside import Pair, pairs
from sia_tui.tui.diffing import Row, parse

PATCH = "--- a/x\n+++ b/x\n@@ -1,4 +1,4 @@\n one\n-two\n-three\n+2\n four\n+five\n"


def test_removed_lines_stand_beside_what_came_for_them() -> None:
    rows = parse(PATCH).rows
    sides = [(pair.old, pair.new) for pair in pairs(rows)]
    assert sides == [(0, 0), (1, 1), (2, 2), (3, 5), (4, None), (6, 6), (None, 7)]


@given(st.lists(st.sampled_from(["file", "hunk", "context", "add", "remove", "note"])))
def test_every_row_stands_on_its_side_once(kinds: list[str]) -> None:
    rows = [Row(kind, "") for kind in kinds]  # type: ignore[arg-type]
    found = pairs(rows)
    assert [pair.old for pair in found if pair.old is not None] == _without(rows, "add")
    assert [pair.new for pair in found if pair.new is not None] == _without(rows, "remove")
    assert Pair(None, None) not in found


def _without(rows: list[Row], kind: str) -> list[int]:
    return [at for at, row in enumerate(rows) if row.kind != kind]
