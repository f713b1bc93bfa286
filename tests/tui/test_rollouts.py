"""The rollouts: what is listed, what is filtered, what is read, and what stays sealed."""

from __future__ import annotations

import math
import sqlite3
import threading
from array import array
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from sia_tui.core.episodes import Attempt, Call, Case, Score
from sia_tui.core.text import clean
from sia_tui.store.browse import Browser, Wanted
from sia_tui.store.reader import EpisodeRow, RunReader
from sia_tui.store.trajectories import pack
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.pieces import cells
from sia_tui.tui.rolled import bounds, filters, heading, rolled
from sia_tui.tui.screens.across import Across
from sia_tui.tui.screens.help import told
from sia_tui.tui.screens.narrow import Narrow
from sia_tui.tui.screens.rollouts import NARROWING, RolloutsPane
from sia_tui.tui.stream import failures
from sia_tui.tui.tokens import token_lines
from sia_tui.tui.told import LONGEST, story
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.trajectory import TrajectoryView
from sia_tui.tui.window import Source
from tests.tui.desk import SMALL, WIDE, open_on, screen_text, settle, window_on
from tests.tui.opened import until, whole
from tests.tui.runs import make_run
from tests.tui.writer import HOSTILE, writing

Compare = Callable[..., bool]


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return make_run(tmp_path_factory.mktemp("t") / "runs" / "r", "training")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return make_run(tmp_path_factory.mktemp("d") / "runs" / "r", "done")


def listed(paths: RunPaths, wanted: Wanted) -> list[EpisodeRow]:
    browser = Browser(paths.db)
    try:
        return list(browser.rows(browser.numbers(wanted)).values())
    finally:
        browser.close()


def test_filters_say_what_they_mean(training: RunPaths) -> None:
    everything = listed(training, Wanted(sealed=False))
    assert {row.split for row in everything} == {"train", "dev", "hidden"}
    assert {row.split for row in listed(training, Wanted())} == {"train", "dev"}
    made = listed(training, Wanted(part="training"))
    assert made and all(row.proposal for row in made)
    assert all(row.proposal is None and row.split == "train" for row in listed(training, Wanted(part="train")))
    for outcome, holds in (
        ("right", lambda row: row.failure is None),
        ("wrong", lambda row: row.failure == "another charge"),
        ("error", lambda row: row.failure == "timeout"),
    ):
        found = listed(training, Wanted(outcome=outcome))
        assert found and all(map(holds, found))
    timed_out = listed(training, Wanted(failure="timeout"))
    assert timed_out and {row.failure for row in timed_out} == {"timeout"}
    assert {row.reward for row in listed(training, Wanted(least=0.5))} == {1.0}
    assert {row.reward for row in listed(training, Wanted(most=0.5))} == {0.0}
    assert listed(training, Wanted(least=0.1, most=0.9)) == [], "a bound is one of what it bounds"
    assert len(listed(training, Wanted(least=0.0, most=1.0))) == len(listed(training, Wanted()))
    key = everything[0].key
    assert {row.key for row in listed(training, Wanted(key=key))} == {key}
    assert {row.case_id for row in listed(training, Wanted(text="DEV-0003"))} == {"dev-0003"}
    assert listed(training, Wanted(text="%")) == [], "no pattern, just text"


def test_kinds_of_failure_are_counted_within_the_other_filters(training: RunPaths) -> None:
    browser = Browser(training.db)
    wanted = Wanted(part="train", failure="timeout")
    found = browser.kinds(wanted)
    browser.close()
    assert found == sorted(found, key=lambda pair: (-pair[1], pair[0])) and len(found) > 1
    for kind, count in found:
        assert count == len(listed(training, replace(wanted, failure=kind)))


def test_what_came_after_a_row_is_found_without_reading_what_came_before(training: RunPaths) -> None:
    where, values = Wanted(failure="timeout", least=0.0, most=0.5).where()
    connection = sqlite3.connect(training.db)
    asked = f"explain query plan select rowid from episodes where rowid > ? and {where} order by rowid"
    [plan] = [row[3] for row in connection.execute(asked, [9, *values])]
    connection.close()
    assert "INTEGER PRIMARY KEY (rowid>?)" in plan


@given(st.floats(), st.floats())
def test_bounds_are_numbers_in_their_order(low: float, high: float) -> None:
    if low <= high:
        assert bounds(str(low), f" {high} ") == (low, high)
    else:
        with pytest.raises(ValueError, match=r"no number|no reward"):
            bounds(str(low), str(high))


def test_of_what_is_set_nothing_is_hidden_where_there_is_little_room(training: RunPaths) -> None:
    reader = RunReader(training.db)
    state = reader.state()
    reader.close()
    keys = {f"rollouts.{name}": "x" for name in NARROWING}
    wanted = Wanted(True, "train", "wrong", "timeout", 0.25, 0.5, state.generations[0].key, "盗窃")
    for width in (78, 98, 118):
        told = filters(wanted, state, 100_000, keys, width).plain
        assert all(part in told for part in ("train", "wrong", "0.25 to 0.5 · timeout", "g0", "盗窃", "x  all"))
        assert cells(told) <= width
    assert "all again" not in filters(Wanted(), state, 1, keys, 78).plain


def test_in_a_small_window_every_filter_is_said_by_a_word(training: RunPaths) -> None:
    reader = RunReader(training.db)
    state = reader.state()
    reader.close()
    keys = {f"rollouts.{name}": key for name, key in zip(NARROWING, "/sove<", strict=True)}
    for wanted, said in (
        (Wanted(), " s  split  o  outcome  v  gen  e  score  /  text"),
        (Wanted(part="dev", outcome="wrong"), " s  dev  o  wrong  v  gen  e  score  /  text  <  all"),
    ):
        assert filters(wanted, state, 6905, keys, 78).plain.rstrip() == f"6,905 rollouts {said}"
    assert filters(Wanted(), state, None, keys, 78).plain.startswith("reading … ")


async def test_while_it_is_read_the_list_does_not_say_that_there_are_none(
    training: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, numbers = threading.Event(), Browser.numbers

    def slowly(browser: Browser, wanted: Wanted, after: int = 0) -> array[int]:
        assert go_on.wait(30)
        return numbers(browser, wanted, after)

    monkeypatch.setattr(Browser, "numbers", slowly)
    app = window_on(training)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: whole(app))
        await pilot.press("4")
        await until(pilot, lambda: screen_text(app).count("reading …") == 2)
        assert "rollouts " not in screen_text(app).splitlines()[2] and "no rollouts" not in screen_text(app)
        go_on.set()
        await until(pilot, lambda: "reading …" not in screen_text(app))
        await pilot.press("slash", *"nowhere")
        await until(pilot, lambda: "no rollouts" in screen_text(app) and "0 rollouts" in screen_text(app))


def test_new_rows_are_found_by_the_last_number(training: RunPaths) -> None:
    browser = Browser(training.db)
    numbers = browser.numbers(Wanted())
    assert browser.numbers(Wanted(), numbers[-3]) == numbers[-2:]
    browser.close()


def test_a_hundred_thousand_rows_are_numbered_at_once(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "runs" / "r", "fresh")
    connection = sqlite3.connect(paths.db)
    with connection:
        connection.executemany(
            "insert into episodes (id, key, case_id, split, reward, source, tokens, seconds, isolation, at, answer)"
            " values (?, 'k', ?, 'train', 1.0, 'policy', 100, 0.1, 'bwrap', '2026-01-05T07:00:00+00:00', ?)",
            ((f"e-{n}", f"c-{n}", "盗窃" if n % 3 else "诈骗") for n in range(100_000)),
        )
    connection.close()
    browser = Browser(paths.db)
    numbers = browser.numbers(Wanted())
    window = browser.rows(numbers[50_000:50_200])
    narrowed = browser.numbers(Wanted(text="诈骗"))
    browser.close()
    assert isinstance(numbers, array) and len(numbers) == 100_000 and len(window) == 200 and len(narrowed) == 33_334


async def test_the_newest_is_first_and_the_list_reads_only_what_is_in_sight(training: RunPaths) -> None:
    async with open_on(training, "rollouts") as (app, _):
        pane, shown = app.query_one(RolloutsPane), screen_text(app)
        assert len(pane._rows) < 300 < app.query_one("#list", Lines).count
        assert "train 18" in shown and "hidden and test stay sealed" in shown


async def test_score_and_failure_are_chosen_in_one_place(training: RunPaths) -> None:
    async with open_on(training, "rollouts") as (app, pilot):
        pane = app.query_one(RolloutsPane)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Narrow) and len(app.screen._kinds) > 2)
        await pilot.press("tab", *"x", "enter")
        assert "is no number" in screen_text(app)
        await pilot.press("backspace", *"0", "tab", *"0.5", "shift+tab", "shift+tab", "down", "enter")
        await settle(pilot)
        kind = listed(training, Wanted(most=0.5))
        [(most, count), *_] = Counter(row.failure for row in kind if row.failure).most_common()
        assert pane._wanted == Wanted(failure=most, least=0, most=0.5)
        assert app.query_one("#list", Lines).count == count and f"0 to 0.5 · {most}" in screen_text(app)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Narrow))
        await pilot.press("escape", "escape")
        await settle(pilot)
        assert pane._wanted == Wanted() and "all again" not in screen_text(app)


async def test_why_they_fail_leads_to_the_rollouts_that_did(done: RunPaths) -> None:
    async with open_on(done, "live") as (app, pilot):
        found = failures(app.view.state)
        app.query_one("#failures", Lines).focus()
        await pilot.press("down", "enter")
        await settle(pilot)
        pane = app.query_one(RolloutsPane)
        key = app.view.state.generations[3].key
        assert pane._wanted == Wanted(sealed=False, part="dev", failure=found.ranked[1], key=key)
        assert app.here == "rollouts" and app.focused is pane._list


async def test_a_filter_may_change_while_the_list_is_being_drawn(training: RunPaths) -> None:
    """The rows that were shown are gone before those of the new filter are found."""
    async with open_on(training, "rollouts") as (app, pilot):
        pane = app.query_one(RolloutsPane)
        for keys in ("o", "s", "v", "escape"):
            await pilot.press(keys)
            for line in range(pane._list.size.height):
                pane._list.render_line(line)
        await settle(pilot)
        assert pane._list.count > 0


async def test_sealed_rows_are_nowhere_to_be_seen(training: RunPaths) -> None:
    async with open_on(training, "rollouts") as (app, pilot):
        await pilot.press("slash", *"hidden", "enter")
        await settle(pilot)
        assert "no rollouts" in screen_text(app)


async def test_what_was_sealed_is_open_when_the_run_is_over(done: RunPaths) -> None:
    async with open_on(done, "rollouts") as (app, pilot):
        assert "test-0039" in screen_text(app)
        await pilot.press("s", "s")
        await settle(pilot)
        assert "test-0039" not in screen_text(app) and "dev-0039" in screen_text(app)


def test_the_reader_itself_refuses_what_is_sealed(done: RunPaths) -> None:
    row = listed(done, Wanted(sealed=False, text="hidden-0001"))[0]
    attempt, score = trajectory(done, row)
    told = "\n".join(line.plain for line in story(row, "g0", attempt, score, 80))
    assert "sealed" in told and "被告人" not in told
    assert "被告人" in "\n".join(line.plain for line in story(row, "g0", attempt, score, 80, over=True))


def trajectory(paths: RunPaths, row: EpisodeRow) -> tuple[Attempt, Score]:
    reader = RunReader(paths.db)
    found = reader.trajectory(row.id)
    reader.close()
    assert found is not None
    return found


def test_a_trajectory_is_told_whole_and_the_label_only_of_train(training: RunPaths) -> None:
    for split, known in (("train", True), ("dev", False)):
        row = listed(training, Wanted(part=split, outcome="error"))[0]
        attempt, score = trajectory(training, row)
        told = "\n".join(line.plain for line in story(row, "g0", attempt, score, 90))
        for part in ("CASE", "CALL 1 of 1", "system", "user", "TOOL 1", "rank", "HARNESS ERROR", "Traceback", "ANSWER"):
            assert part in told, part
        for part in ("temperature 0", "mean logprob -0.87", "least likely token 8.2 %", "stop", "NOTES"):
            assert part in told, part
        assert ("expected" in told) is known
        assert clean(told) == told and "␛]52" in told


def test_a_megabyte_is_cut_and_said_so() -> None:
    call = Call(
        ({"role": "user", "content": "盗窃" * 500_000},), "x" * 1_000_000, (), (), (), None, 0, 1, 9, "stop", 0.1
    )
    attempt = Attempt(Case("c", "train", {"text": HOSTILE}), "a", "policy", (call,), (), None, 0.1, "bwrap")
    row = EpisodeRow(
        "e", "k", "c", "train", None, 0.0, "wrong", "policy", "a", 1, 0.1, "bwrap", None, None, None, None, ""
    )
    told = [line.plain for line in story(row, "g0", attempt, Score(0.0, "wrong"), 100)]
    assert sum("more characters; whole in run.db" in line for line in told) == 2
    assert max(map(len, told)) < 400 and sum(map(len, told)) < 4 * LONGEST


@pytest.mark.parametrize("said", ["盗窃", "\x1b[2J"], ids=["ideographs", "escapes"])
async def test_a_line_of_ten_megabytes_is_read_and_no_key_is_lost(tmp_path: Path, said: str) -> None:
    paths, line = make_run(tmp_path / "runs" / "r", "fresh"), said * (10_000_000 // len(said))
    call = Call(({"role": "user", "content": line},), "x", (), (), (), None, 0, 1, 9, "stop", 0.1)
    with writing(paths.root) as run:
        attempt = Attempt(Case("c", "train", {"text": "t"}), "x", "policy", (call,), (), None, 0.1, "bwrap")
        run.store.record_episode("e-1", "k", attempt, Score(1.0, None))
    async with open_on(paths, "rollouts", size=SMALL) as (app, pilot):
        await pilot.press("enter")
        reader = app.query_one(TrajectoryView)
        await until(pilot, lambda: reader.count > 100)
        await pilot.press("G")
        await until(pilot, lambda: "9,980,000 more characters" in "\n".join(row.plain for row in reader._text))
        await pilot.press("t", "y", "t", "c")
        await until(pilot, lambda: isinstance(app.screen, Across) and bool(app.screen._found))
        await pilot.press("escape", "escape", "slash", *"abc", "enter", "5")
        await until(pilot, lambda: app.here == "curves")
        assert app.query_one(RolloutsPane)._wanted.text == "abc"


async def test_enter_reads_brackets_turn_the_page_and_esc_comes_back(training: RunPaths) -> None:
    async with open_on(training, "rollouts") as (app, pilot):
        reader, rows = app.query_one(TrajectoryView), app.query_one("#list", Lines)
        await pilot.press("enter")
        await settle(pilot)
        first = str(reader.border_title)
        assert app.focused is reader and "CALL 1 of 1" in screen_text(app)
        await pilot.press("]")
        await settle(pilot)
        assert str(reader.border_title) != first and rows.cursor == 1
        await pilot.press("[")
        await settle(pilot)
        assert str(reader.border_title) == first
        await pilot.press("escape")
        await settle(pilot)
        assert app.focused is rows and not reader.display


async def test_the_reader_keeps_its_place_when_the_window_grows_narrow_and_wide_again(training: RunPaths) -> None:
    async with open_on(training, "rollouts") as (app, pilot):
        await pilot.press("enter")
        await settle(pilot)
        reader = app.query_one(TrajectoryView)

        def top() -> str:
            return reader._text[round(reader.scroll_y)].plain.strip()

        await pilot.resize_terminal(120, 16)
        await pilot.press(*"jjjjjjjjjjjjjjjj")
        first, row = top()[:12], reader.scroll_y
        assert first
        await pilot.resize_terminal(40, 16)
        await settle(pilot)
        assert first in top() and reader.scroll_y > row
        await pilot.resize_terminal(120, 16)
        await settle(pilot)
        assert reader.scroll_y == row and first in top()


async def test_a_case_is_read_token_by_token_beside_other_answers_and_taken_along(training: RunPaths) -> None:
    async with open_on(training, "rollouts") as (app, pilot):
        await pilot.press("s", "s")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        await pilot.press("t")
        await settle(pilot)
        assert "│#" in screen_text(app) and screen_text(app).count("no tokenizer here: numbers") == 1
        await pilot.press("y")
        assert "CALL 1 of 1" in app.clipboard and clean(app.clipboard) == app.clipboard
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, Across) and bool(app.screen._found))
        left, right = (str(lines.border_title) for lines in app.screen.query(Lines))
        assert left.split(" on ")[1].split(" ")[0] == right.split(" on ")[1].split(" ")[0] and left != right
        await pilot.press("left_square_bracket", "right_square_bracket", "right_curly_bracket", "escape")
        assert not isinstance(app.screen, Across)


async def test_the_keys_of_the_reader_are_those_that_do_something_there(training: RunPaths) -> None:
    async with open_on(training, "rollouts") as (app, pilot):
        await pilot.press("enter")
        await settle(pilot)
        offered = "\n".join(line.plain for line in told(app.screen.active_bindings))
        assert "half a page down" in offered and "this case as other" in offered
        assert "open the row" not in offered and "follow the newest row" not in offered
        before = app.query_one(TrajectoryView).scroll_y
        await pilot.press("f", "enter")
        assert app.query_one(TrajectoryView).scroll_y == before


async def test_of_a_case_with_one_answer_that_is_said(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "runs" / "r", "training")
    with writing(paths.root) as run:
        run.episode(run.store.state.generations[0].key, Case("train-9999", "train", {"text": "x"}), 1.0)
    async with open_on(paths, "rollouts") as (app, pilot):
        await pilot.press("enter", "c")
        await until(pilot, lambda: isinstance(app.screen, Across) and bool(app.screen._found))
        assert isinstance(app.screen, Across)
        left, right = app.screen.query(Lines)
        assert left._text[0].plain == "only one generation answered it" and str(right.border_title).startswith(
            "g0 · 1 of 1"
        )
        await pilot.press("left_square_bracket")
        assert left.count == 1 and "left: earlier" not in screen_text(app)


async def test_the_first_answer_to_a_case_stands_beside_the_one_after_it(training: RunPaths) -> None:
    async with open_on(training, "rollouts") as (app, pilot):
        first = listed(training, Wanted(text="dev-0003"))[0]
        app.push_screen(Across(Source(training.db), app.view.state, first.case_id, first.id, False))
        await until(pilot, lambda: isinstance(app.screen, Across) and bool(app.screen._found))
        left, right = (str(lines.border_title) for lines in app.screen.query(Lines))
        assert "· 1 of 3 on" in left and "· 2 of 3 on" in right


@given(st.lists(st.tuples(st.text(max_size=6), st.floats(-30, 0)), min_size=1, max_size=40), st.integers(24, 90))
def test_every_token_is_told_and_an_unsure_one_with_its_probability(told: list[tuple[str, float]], width: int) -> None:
    texts, logprobs = [text for text, _ in told], tuple(chance for _, chance in told)
    call = Call((), "", (), tuple(range(len(told))), logprobs, None, 1, 1, 9, "stop", 0.1)
    lines = token_lines(call, lambda ids: [texts[number] for number in ids], width)
    pieces = [text for row in lines for text, _ in row.pieces if text not in ("  ", "│")]
    assert len(pieces) >= len(told) - sum(text in ("  ", "│") for text in texts)
    assert sum(piece.endswith("%)") for piece in pieces) >= sum(math.exp(chance) < 0.9 for chance in logprobs)


def test_rows_of_another_day_name_it_and_stand_in_their_columns(training: RunPaths) -> None:
    with closing(RunReader(training.db)) as reader:
        state = reader.state()
    row = listed(training, Wanted())[0]
    for days, at in ((0, "07:"), (1, "05 Jan 07:"), (400, "05 Jan 2026")):
        now = datetime.fromisoformat(state.created_at) + timedelta(days=days)
        names, told = heading(state, 120, now).plain, rolled(state, row, 120, now).plain
        assert told.startswith(at)
        assert told[names.index("made for") - 1] == " " and told[names.index("split") :].startswith(row.split)


async def test_new_rollouts_come_in_on_top_and_the_cursor_stays_with_its_row(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "runs" / "r", "patch_gate")
    async with open_on(paths, "rollouts") as (app, pilot):
        rows, pane = app.query_one("#list", Lines), app.query_one(RolloutsPane)
        await pilot.press("down", "down")
        here, count = pane._row_at(rows.cursor), rows.count
        with writing(paths.root) as run:
            for number in range(5):
                run.episode("k", Case(f"train-{number}", "train", {"text": "x"}), 1.0)
                run.made += 10_000
        await until(pilot, lambda: rows.count == count + 5)
        await settle(pilot)
        assert rows.cursor == 7 and pane._row_at(rows.cursor) == here
        await pilot.press("f")
        assert rows.cursor == 0


@pytest.mark.parametrize(("theme", "size"), [("sia", WIDE), ("sia-colour-blind", SMALL)], ids=str)
@pytest.mark.parametrize("keys", [[], ["enter"]], ids=["list", "reader"])
def test_looks(training: RunPaths, snap_compare: Compare, keys: list[str], theme: str, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: whole(pilot.app))
        await pilot.press("4")
        await settle(pilot)
        await pilot.press(*keys)
        await settle(pilot)

    assert snap_compare(window_on(training, theme=theme), terminal_size=size, run_before=before)


async def test_what_stands_in_a_trajectory_is_found(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "runs" / "r", "training")
    whole = {row.id: RunReader(paths.db).trajectory(row.id) for row in listed(paths, Wanted())}
    texts = {episode: pack(*found).decode() for episode, found in whole.items() if found}
    sought = next(found[1].detail["expected"] for found in whole.values() if found)
    expected = {episode for episode, text in texts.items() if sought in text}
    async with open_on(paths, "rollouts") as (app, pilot):
        pane = app.query_one(RolloutsPane)
        await pilot.press("slash", *sought, "enter")
        await until(pilot, lambda: len(pane._numbers) == len(expected))
        assert {row.id for row in listed(paths, Wanted(text=sought))} == expected
        await pilot.press("down", "down")
        read = pane._numbers[-3]
        with writing(paths.root) as run:
            run.episode("k", Case("train-1", "train", {"text": sought}), 1.0)
        await until(pilot, lambda: len(pane._numbers) == len(expected) + 1)
        await settle(pilot)
        assert pane._numbers[-1 - pane._list.cursor] == read, "a search that goes on leaves the reader where they are"
        await pilot.press("escape")
        await settle(pilot)
        assert len(pane._numbers) == len(whole) + 1 > len(expected) + 1 > 1
