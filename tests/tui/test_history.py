"""The history on real git: who made what, what changed between any two, and the way back."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from sia_tui.cli.window import House
from sia_tui.core import events as ev
from sia_tui.core.digest import page
from sia_tui.core.ledger import ledger
from sia_tui.core.proposals import Proposal
from sia_tui.core.state import State
from sia_tui.store.reader import AgentCall, Answer, RunReader
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.tui.app import SiaApp
from sia_tui.tui.decided import detail
from sia_tui.tui.diffing import parse
from sia_tui.tui.finding import Place, found
from sia_tui.tui.past import entries, facts, told, trained
from sia_tui.tui.phase import phase_lines
from sia_tui.tui.screens.history import HistoryPane
from sia_tui.tui.spoken import spoken
from sia_tui.tui.view import View
from sia_tui.tui.widgets.diff import DiffView
from sia_tui.tui.widgets.facts import Facts
from sia_tui.tui.widgets.lines import Lines
from tests.tui.desk import SMALL, WIDE, Engine, open_on, screen_text, settle, window_on
from tests.tui.grown import grown_run
from tests.tui.opened import until, whole
from tests.tui.runs import make_run
from tests.tui.writer import START, writing

Compare = Callable[..., bool]
NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return grown_run(tmp_path_factory.mktemp("workspace"))


def notified(app: SiaApp) -> str:
    return "\n".join(str(note.message) for note in app._notifications)


def test_generations_and_refusals_stand_in_the_order_they_came(paths: RunPaths) -> None:
    reader = RunReader(paths.db)
    state = reader.state()
    reader.close()
    assert [entry.name for entry in entries(state)] == ["g0", "g1", "p-three", "g2"]


async def test_the_list_tells_who_decided_and_hidden_only_of_what_was_kept(paths: RunPaths) -> None:
    async with open_on(paths, "history") as (app, _pilot):
        shown = screen_text(app)
        assert "77.7 %" in shown and shown.count("77.7 %") == 1, "g1 was kept, g2 was not"
        assert "+10.0 [+5.0, +15.0]" in shown and "ana" in shown and "p-three" in shown


async def test_the_diff_is_the_one_against_the_parent(paths: RunPaths) -> None:
    async with open_on(paths, "history") as (app, pilot):
        await pilot.press("home", "down")
        await settle(pilot)
        shown = screen_text(app)
        assert "− prompt = 'one'" in shown and "+ prompt = 'two'" in shown and "lawbench/harness.py" in shown
        assert "approve by ana: go on" in shown
        await pilot.press("down")
        await settle(pilot)
        shown = screen_text(app)
        assert "+ prompt = 'three'" in shown and "refused by ana: too dear" in shown
        await pilot.press("home")
        await settle(pilot)
        assert "harness.py (new)" in screen_text(app)


async def test_any_two_are_compared_through_a_mark(paths: RunPaths) -> None:
    async with open_on(paths, "history") as (app, pilot):
        await pilot.press("home", "v", "down", "down")
        await settle(pilot)
        shown = screen_text(app)
        assert "g0 → p-three" in shown and "− prompt = 'one'" in shown and "+ prompt = 'three'" in shown
        await pilot.press("home", "v", "down", "down")
        await settle(pilot)
        assert "− prompt = 'two'" in screen_text(app)


async def test_a_wide_window_shows_both_sides_and_a_key_turns_it(paths: RunPaths) -> None:
    async with open_on(paths, "history", size=(160, 40)) as (app, pilot):
        await pilot.press("home", "down")
        await settle(pilot)
        row = next(row for row in screen_text(app).splitlines() if "'one'" in row)
        assert "− prompt = 'one'" in row and "+ prompt = 'two'" in row
        await pilot.press("enter", "s")
        await settle(pilot)
        row = next(row for row in screen_text(app).splitlines() if "'one'" in row)
        assert "'two'" not in row and app.focused is app.query_one(DiffView)


async def test_blame_names_the_step_behind_a_line_and_leads_to_it(paths: RunPaths) -> None:
    async with open_on(paths, "history") as (app, pilot):
        await pilot.press("end", "B")
        await settle(pilot)
        shown = screen_text(app)
        two = next(row for row in shown.splitlines() if "'two'" in row)
        assert "g1" in two and "+10.0" in two and "H" in two
        assert "lines by: g0 2  g1 1" in shown and "harness.py" in shown
        await pilot.press("down", "enter")
        await settle(pilot)
        assert "approve by ana: go on" in screen_text(app), "g1 is selected"


async def test_text_is_found_in_reasons_verdicts_messages_and_diffs(paths: RunPaths) -> None:
    async with open_on(paths, "history") as (app, pilot):
        await pilot.press("slash", *"dear", "enter")
        await settle(pilot)
        shown = screen_text(app)
        assert "p-three" in shown and "g1 " not in shown and "in its verdict: reject by ana: too dear" in shown
        await pilot.press("slash", *("backspace" for _ in "dear"), *"zzz", "enter")
        await settle(pilot)
        assert "no step says" in screen_text(app)
        await pilot.press("escape")
        await settle(pilot)
        shown = screen_text(app)
        assert "p-three" in shown and "g0" in shown and "╰─○" in shown
        await pilot.press("slash", "escape")
        await settle(pilot)
        assert app.focused is app.query_one("#list"), "an empty line is left as well"


async def test_whoever_follows_and_then_searches_stays_with_what_was_found(paths: RunPaths) -> None:
    async with open_on(paths, "history") as (app, pilot):
        pane = app.query_one(HistoryPane)
        await pilot.press("f", "slash", *"ask", "enter")
        await settle(pilot)
        entry, view = pane._entry, pane._view
        assert len(pane._entries) > 1 and view is not None
        pane.show(replace(view))
        assert pane._entry == entry == pane._entries[0]


def test_where_text_stands_is_told(paths: RunPaths) -> None:
    reader = RunReader(paths.db)
    state = reader.state()
    reader.close()
    seed, two, three, _ = entries(state)
    patched = replace(three.step.proposal, patch="--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+盗窃 NEW\n")  # type: ignore[union-attr]
    three = replace(three, step=replace(three.step, proposal=patched))  # type: ignore[type-var]
    assert found(three, "盗窃 new THREE", {}) == Place("name", "p-three p-three")
    assert found(three, "窃 new", {}) == Place("diff", "+盗窃 NEW")
    assert found(seed, "planted", {seed.commit or "": "as it was\nplanted"}) == Place("commit message", "planted")
    assert found(two, "nowhere", {}) is None and found(two, " ", {}) is None


async def test_a_refused_patch_is_shown_as_it_would_be_and_then_proposed(paths: RunPaths) -> None:
    engine = Engine()
    async with open_on(paths, "history", engine) as (app, pilot):
        await pilot.press("end", "up", "u")
        await settle(pilot)
        shown = screen_text(app)
        assert "REVIVE p-three on g1" in shown and "1 of 1 hunks fit" in shown and "+ prompt = 'three'" in shown
        await pilot.press("escape", "u")
        await settle(pilot)
        assert engine.asked == []
        await pilot.press("y")
        await until(pilot, lambda: bool(engine.asked))
        ((kind, body),) = engine.asked
        assert kind == "propose" and body["revives"] == "p-three" and "+prompt = 'three'" in body["patch"]
        await pilot.press("home", "down", "u")
        await settle(pilot)
        assert "part of what serves" in notified(app) and len(engine.asked) == 1


async def test_a_generation_is_branched_from_under_a_name(paths: RunPaths) -> None:
    made: list[tuple[str, int, str]] = []

    def branch(run: str, index: int, name: str) -> Answer:
        made.append((run, index, name))
        return Answer(True, name)

    async with open_on(paths, "history") as (app, pilot):
        await pilot.press("home", "down", "o")
        await settle(pilot)
        assert "sia-tui branch r g1" in notified(app), "without a workspace at hand the command is said"
        app.place = cast(Any, SimpleNamespace(branch=branch))
        await pilot.press("o")
        await settle(pilot)
        assert "starts from g1 of r" in screen_text(app)
        await pilot.press("escape", "o", *"-x", "enter")
        await until(pilot, lambda: bool(made))
        await settle(pilot)
        assert made == [("r", 1, "r-g1-x")] and "r-g1-x has begun" in notified(app)
        app.place = None


async def test_the_patches_of_a_generation_are_written_into_a_folder_that_is_named(
    paths: RunPaths, tmp_path: Path
) -> None:
    async with open_on(paths, "history") as (app, pilot):
        await pilot.press("home", "down", "e")
        assert "sia-tui export r g1 --patches r-g1-patches" in notified(app), "without a workspace the command is said"
        app.place = House(Workspace(paths.root.parent.parent))
        for said in ("2 patches in", "is there already"):
            await pilot.press("e")
            await settle(pilot)
            assert "led to g1 of r" in screen_text(app) and "r-g1-patches" in screen_text(app)
            app.screen.query_one(Input).value = str(tmp_path / "mails")
            await pilot.press("enter")
            await until(pilot, lambda said=said: said in notified(app))
        assert str(tmp_path / "mails") in notified(app)
        assert len(list((tmp_path / "mails").glob("*.patch"))) == 2
        app.place = None


async def test_decisions_stand_beside_what_was_promised(tmp_path: Path) -> None:
    async with open_on(make_run(tmp_path / "runs" / "r", "done"), "history") as (app, pilot):
        await pilot.press("d", "home", "down")
        await settle(pilot)
        shown = screen_text(app)
        assert "promised +6.0" in shown and "wrong sign" in shown and "playbook/harness: " in shown
        assert "CONSTRAINTS" in shown and "refused “Snap answers to the list of charges”: not now" in shown
        assert "measured -4.0 [-6.0, -2.0]" in shown and "promised ×1.40" in shown
        await pilot.press("enter")
        await settle(pilot)
        assert app.query_one(HistoryPane)._entry.name == "g2"  # type: ignore[union-attr]


async def test_weights_show_what_was_trained(paths: RunPaths) -> None:
    async with open_on(paths, "history") as (app, _pilot):
        shown = screen_text(app)
        assert "28 of 28" in shown and "33.0 % → 53.0 %" in shown and "learning_rate" in shown


async def test_going_back_needs_a_second_key_and_escape_leaves_it(paths: RunPaths) -> None:
    engine = Engine()
    async with open_on(paths, "history", engine) as (app, pilot):
        await pilot.press("home", "b")
        await pilot.pause()
        assert "go back to g0?" in screen_text(app)
        await pilot.press("escape", "y")
        await settle(pilot)
        assert engine.asked == []
        await pilot.press("b", "enter", "b")
        await pilot.press("y")
        await until(pilot, lambda: bool(engine.asked))
        assert engine.asked == [("rollback", {"generation": 0})]


async def test_moving_on_forgets_the_question(paths: RunPaths) -> None:
    engine = Engine()
    async with open_on(paths, "history", engine) as (_app, pilot):
        await pilot.press("home", "b", "down")
        await settle(pilot)
        await pilot.press("y")
        await settle(pilot)
        assert engine.asked == []


async def test_the_commands_are_copied(paths: RunPaths) -> None:
    async with open_on(paths, "history") as (app, pilot):
        await pilot.press("home", "down", "c")
        await pilot.pause()
        assert app.clipboard == "sia-tui rollback r g1\nsia-tui branch r g1\nsia-tui export r g1 --patches r-g1-patches"


async def test_a_stop_is_said_to_change_nothing(tmp_path: Path) -> None:
    grown = grown_run(tmp_path)
    with writing(grown.root) as run:
        base = run.store.state.generations[1].commit
        run.store.record(ev.ProposalMade("p-stop", Proposal("stop", "End it", "because", "s", base)))
        run.store.record(ev.ProposalRefused("p-stop", "ana", "go on"))
    async with open_on(grown, "history") as (app, pilot):
        await pilot.press("end")
        await settle(pilot)
        assert "no difference: p-stop is a proposal to stop, which changes nothing" in screen_text(app)
        await pilot.press("v", "home", "down")
        await settle(pilot)
        assert "p-stop → g1" in screen_text(app) and "which changes nothing" in screen_text(app), "it stopped at g1"


async def test_without_the_repository_it_says_so(tmp_path: Path) -> None:
    async with open_on(make_run(tmp_path / "runs" / "r", "done"), "history") as (app, pilot):
        await pilot.press("home", "down")
        await settle(pilot)
        assert "cannot be compared" in screen_text(app)


async def test_a_big_diff_opens_and_scrolls_at_once(paths: RunPaths) -> None:
    lines = "".join(f"-old {n} a\n+old {n} b\n" for n in range(4000))
    text = f"--- a/x.py\n+++ b/x.py\n@@ -1,4000 +1,4000 @@\n{lines}@@ -9000 +9000 @@\n-x\n+y\n"
    async with open_on(paths, "history") as (app, pilot):
        await pilot.press("home", "down")
        await settle(pilot)
        view = app.query_one(DiffView)
        view.show(parse(text))
        for y in range(view.size.height):
            view.render_line(y)
        view.action_hunk(1)
        view.action_hunk(1)
        await pilot.pause()
        assert "@@ -9000 +9000 @@" in screen_text(app)


@pytest.mark.parametrize(("theme", "size"), [("sia", WIDE), ("sia-contrast", SMALL)], ids=str)
def test_looks(paths: RunPaths, snap_compare: Compare, theme: str, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: whole(pilot.app))
        await pilot.press("6")
        await settle(pilot)
        await pilot.press("home", "down")
        await settle(pilot)

    assert snap_compare(window_on(paths, theme=theme), terminal_size=size, run_before=before)


def test_a_step_of_both_levers_is_three_rows_and_a_table(tmp_path: Path) -> None:
    with writing(make_run(tmp_path / "runs" / "r", "both_done").root) as run:
        state = run.store.state
    rows = [told(entry, state, False, 140).plain for entry in entries(state)]
    assert [row.split()[1:3] for row in rows[3:]] == [["g3", "harness"], ["g4", "weights"], ["g5", "both"]]
    for entry, gain in zip(entries(state)[3:], ("+2.0", "+5.0", "+16.0"), strict=True):
        shown = [line.plain for line in facts(entry, state, NOW)]
        assert gain in shown[1] and "together +9.0 beyond the sum of each alone" in shown
    assert [bool(trained(entry)) for entry in entries(state)[3:]] == [False, True, False]


@pytest.mark.parametrize(("zone", "hours"), [("Asia/Tokyo", 9), ("America/Los_Angeles", -8)])
def test_whatever_names_a_time_names_the_readers_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str, hours: int
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    paths = make_run(tmp_path / "runs" / "r", "done")
    with closing(RunReader(paths.db)) as reader:
        state, story = reader.state(), reader.digest(START.isoformat())
    entry = next(one for one in entries(state) if one.step and one.step.verdicts)
    assert entry.step is not None
    at = entry.step.verdicts[0].at
    own = datetime.fromisoformat(at) + timedelta(hours=hours)
    decision = next(made for made in ledger(state) if made.step == entry.step.id)
    call = AgentCall("c", at, "feedback", 1, (), ())
    for days, shown in ((0, f"{own:%H:%M:%S}"), (1, f"{own:%d %b %H:%M}")):
        now = datetime.fromisoformat(at) + timedelta(days=days)
        said = {
            "history": [line.plain for line in facts(entry, state, now)],
            "ledger": [line.plain for line in detail(decision, now)],
            "models": [line.plain for line in spoken([call], now, 80)],
            "live": [line.plain for line in phase_lines(View("r", state, story=((at, "said"),)), now, 80, 9)],
        }
        assert {where for where, lines in said.items() if not any(shown in line for line in lines)} == set()
    since = START + timedelta(hours=hours)
    assert f"since {since:%d %b %H:%M}:" in page(story, START + timedelta(days=2))


async def test_facts_that_have_no_room_are_counted_and_scrolled_to(tmp_path: Path) -> None:
    grown = grown_run(tmp_path)
    hunks = tuple(f"harness.py:{number} +1 -0" for number in range(12))
    with writing(grown.root) as run:
        run.store.record(ev.Traced("p-two", 1, hunks, (), (), ()))
    async with open_on(grown, "history", size=SMALL) as (app, pilot):
        await pilot.press("home", "down")
        await settle(pilot)
        part = app.query_one(Facts)
        assert "harness.py:11" not in screen_text(app)
        assert f"{part.count - part.size.height} more lines: tab, ↓" in screen_text(app)
        await pilot.press("tab")
        assert app.focused is part
        await pilot.press("end")
        await settle(pilot)
        assert "harness.py:11" in screen_text(app) and "more line" not in screen_text(app)
        await pilot.press("shift+tab", "up", "down")
        await settle(pilot)
        assert part.scroll_y == 0, "another step is read from its beginning"


def test_what_became_of_a_proposal_is_said_beside_its_title(tmp_path: Path) -> None:
    with writing(make_run(tmp_path / "runs" / "r", "patch_gate").root) as run:
        step = run.store.state.steps[-1]
        gone = ev.ProposalAmended(step.id, "p-new", step.gates[-1].id, "ana")
        titled = replace(step.proposal, title="A title that is longer than any column of the list has cells " * 3)
        run.store.record(gone, ev.ProposalMade("p-new", titled), ev.ProposalRefused("p-new", "checks", "no"))
        state = run.store.state
    found = {entry.name: entry for entry in entries(state)}
    for width, amended, refused in ((80, "amended by ana", "refused by checks"), (140, "↷ ana", "✗ checks")):
        assert amended in told(found[step.id], state, False, width).plain
        assert refused in told(found["p-new"], state, False, width).plain


async def test_until_the_run_is_read_nothing_is_said_of_it(paths: RunPaths) -> None:
    async with open_on(paths, "history") as (app, pilot):
        pane = HistoryPane()
        await app.mount(pane)
        pane.show(View("r"))
        await pilot.pause()
        empty = [lines.empty for lines in pane.query("#list, #diff").results(Lines)]
        assert empty == ["reading …", "reading …"]
        pane.show(View("r", State(run="r")))
        assert pane.query_one("#list", Lines).empty == "no generation yet"
