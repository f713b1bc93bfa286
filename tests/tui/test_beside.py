"""A diff as two columns: nothing is lost, nothing stands twice."""

from __future__ import annotations

import difflib

from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from sia_tui.tui.beside import Pair, pairs
from sia_tui.tui.diffing import Row, parse
from sia_tui.tui.widgets.split import SplitView

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


class Alone(App[None]):
    def compose(self) -> ComposeResult:
        yield SplitView()


async def test_the_row_at_the_top_stays_there_when_the_sides_part_and_join() -> None:
    old = [f"row {n}\n" for n in range(400)]
    new = [f"new {n}\n" if n % 5 == 0 else line for n, line in enumerate(old)]
    app = Alone()
    async with app.run_test(size=(130, 20)) as pilot:
        view = app.query_one(SplitView)
        view.show(parse("".join(difflib.unified_diff(old, new, "a/f", "b/f"))))
        view.scroll_to(y=200, animate=False, immediate=True, force=True)
        await pilot.pause()
        before = top(view)
        assert before and int(view.scroll_y) == 200
        await pilot.resize_terminal(80, 20)
        await pilot.pause(0.1)
        assert top(view) in before and int(view.scroll_y) > 200
        view.turn()
        await pilot.pause()
        assert top(view) == before


def top(view: SplitView) -> str:
    """The first row in sight, after its number and its sign."""
    return view.render_line(0).text.split()[-1]
