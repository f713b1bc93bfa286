"""A text is found in what is read, marked, and gone to."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core.episodes import Case
from sia_tui.tui.app import SiaApp
from sia_tui.tui.pieces import wrap
from sia_tui.tui.screens.rollouts import RolloutsPane
from sia_tui.tui.sought import Found, among, columns, found
from sia_tui.tui.told import UNBROKEN
from sia_tui.tui.widgets.trajectory import TrajectoryView
from tests.tui.desk import SMALL, open_on, screen_text, settle
from tests.tui.opened import until
from tests.tui.runs import make_run
from tests.tui.writer import writing

WORDS = st.text(st.sampled_from("ab 盗窃罪，\n\t"), max_size=60)


@given(WORDS, st.text(st.sampled_from("aB 盗窃"), min_size=1, max_size=3), st.integers(4, 30))
def test_every_place_of_a_text_is_marked_wherever_its_line_breaks(text: str, wanted: str, width: int) -> None:
    wanted = wanted.strip() or "a"
    whole, rows = wrap(text, UNBROKEN), wrap(text, width)
    hits = found(whole, wanted).hits
    starts = [0, *accumulate(len("".join(row.split())) for row in rows)]
    marked = [""] * len(hits)
    for row, begins, ends in zip(rows, starts, starts[1:], strict=False):
        for number in among(hits, begins, ends):
            start, end = columns(row, begins, hits[number])
            marked[number] += "".join(row[start:end].split())
    if any(wanted.lower() in line.lower() for line in whole):
        assert len(hits) == sum(line.lower().count(wanted.lower()) for line in whole)
        assert {one.lower() for one in marked} == {"".join(wanted.lower().split())}


async def test_a_search_opens_the_reader_at_the_place_it_found(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "runs" / "r", "training")
    key = "k"
    lines = [f"第{number}行，无关的话。" for number in range(300)]
    lines[150], lines[250] = f"{'空' * 30}Zeugnis 于家中盗窃现金{'空' * 30}", "又在车内盗窃现金。"
    with writing(paths.root) as run:
        run.episode(key, Case("train-7", "train", {"text": "家中盗窃现金 only in the case"}), 1.0)
        run.episode(key, Case("train-8", "train", {"text": "\n".join(lines)}), 1.0)
    async with open_on(paths, "rollouts", size=SMALL) as (app, pilot):
        pane, reader = app.query_one(RolloutsPane), app.query_one(TrajectoryView)
        await pilot.press("slash", *"盗窃现金", "enter")
        await until(pilot, lambda: len(pane._numbers) == 2)
        await pilot.press("enter")
        await settle(pilot)
        assert marks(app) == {"reverse": ["盗窃现金"], "underline": []} and "“盗窃现金” 1 of 4" in screen_text(app)
        assert "Zeugnis" in screen_text(app)
        await pilot.resize_terminal(40, 24)
        await settle(pilot)
        assert marks(app)["reverse"] and "".join(marks(app)["reverse"]) == "盗窃现金", "broken over two lines"
        await pilot.resize_terminal(80, 24)
        await pilot.press("n")
        await settle(pilot)
        assert "“盗窃现金” 2 of 4" in screen_text(app) and "又在车内" in screen_text(app)
        await pilot.press("]")
        await settle(pilot)
        assert "“盗窃现金” 1 of" in screen_text(app) and "only in the case" in screen_text(app)
        await pilot.press("[", "slash", *"zeugnis", "enter")
        await settle(pilot)
        assert marks(app)["reverse"] == ["Zeugnis"] and "“zeugnis” 1 of 2" in screen_text(app)
        await pilot.press("N", "N")
        await settle(pilot)
        assert "“zeugnis” 1 of 2" in screen_text(app), "round and back"
        await pilot.press("slash", *"nowhere", "enter")
        await settle(pilot)
        assert "“nowhere” is nowhere in what is shown" in screen_text(app)
        await pilot.press("slash", "x", "escape", "slash", "enter")
        await settle(pilot)
        assert app.focused is reader and "“" not in str(reader.border_subtitle) and marks(app)["reverse"] == []
        await pilot.press("n", *"无关", "enter")
        await settle(pilot)
        assert "of 600" in str(reader.border_subtitle), "n asks for a text where none is sought"
        await pilot.press("escape")
        await settle(pilot)
        assert app.focused is pane._list


def marks(app: SiaApp) -> dict[str, list[str]]:
    """What is marked in the reader's text."""
    reader = app.query_one(TrajectoryView)
    drawn = [segment for y in range(reader.size.height) for segment in reader.render_line(y)]
    styles = ("reverse", "underline")
    return {name: [one.text for one in drawn if one.style and getattr(one.style, name)] for name in styles}


def test_words_are_marked_where_the_text_stands_nowhere_as_a_whole() -> None:
    rows = ["事实：盗窃 about", "nothing", "2015年"]
    assert found(rows, "2015 盗窃").terms == ("2015", "盗窃") and len(found(rows, "2015 盗窃").hits) == 2
    assert found(rows, "(") == Found(("(",)) and found(rows, "") == Found()
