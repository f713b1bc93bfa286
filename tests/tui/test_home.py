"""Home: the workspace's runs, and what is done with them from there."""

from __future__ import annotations

import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.widgets import Input

from sia_tui.store.lock import hold
from sia_tui.store.reader import Answer
from sia_tui.store.seen import last_seen, note_seen
from sia_tui.store.windows import Open, note_window
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.tui.app import SiaApp
from sia_tui.tui.ascii import plain
from sia_tui.tui.keymap import _arrives, known
from sia_tui.tui.manners import Manners
from sia_tui.tui.screens.form import Form
from sia_tui.tui.screens.home import HomePane
from sia_tui.tui.screens.leaving import Leaving
from sia_tui.tui.workplace import Draft
from tests.tui.desk import SMALL, WIDE, screen_text
from tests.tui.opened import until
from tests.tui.place import Place
from tests.tui.runs import Scene, make_run, moment

CONFIG = Path(__file__).parents[2] / "configs" / "lawbench-nano-quick.yaml"
SOURCE = Path(__file__).parents[2] / "sia_tui"


SCENES: dict[str, Scene] = {"charges-1": "done", "sql-repair-07": "patch_gate", "kernels-3": "training"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(tmp_path / "ws")
    for number, (name, scene) in enumerate(SCENES.items()):
        paths = make_run(workspace.runs / name, scene)
        os.utime(paths.config, (number, number))
    return Place(workspace)


def home(place: Place, **manners: Any) -> SiaApp:
    said = Answer(False, "no run is open")
    still = moment(RunPaths(place.workspace.runs / "kernels-3"))
    app = SiaApp(None, lambda kind, body: said, lambda: said, lambda: still, place=place, manners=Manners(**manners))
    app.animation_level = "none"
    return app


def listed(app: SiaApp) -> bool:
    return app._shelf is not None and app._shelf.complete and all(name in screen_text(app) for name in SCENES)


async def test_runs_are_listed_with_what_waits_and_the_person_is_called_once(place: Place) -> None:
    app = home(place)
    bells: list[int] = []
    app.bell = lambda: bells.append(1)  # type: ignore[method-assign]
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: listed(app) and bool(bells))
        await pilot.pause(1.2)
        shown = screen_text(app)
        assert bells == [1] and "1 waits for you" in shown and "▲ waits " in shown and "Snap answers" in shown
        assert "no engine" not in shown and "■ done" in shown


async def test_what_waits_comes_first_is_readable_on_a_small_screen_and_w_goes_to_the_next(place: Place) -> None:
    make_run(place.workspace.runs / "oldest", "plan_gate")
    os.utime(place.workspace.run("oldest").config, (0, 0))
    app = home(place)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: listed(app) and len(app._caller.waiting) == 2)
        pane = app.query_one(HomePane)
        await until(pilot, lambda: pane._complete)
        assert [view.run for view in pane._views] == ["sql-repair-07", "oldest", "kernels-3", "charges-1"]
        assert pane._chosen is not None and pane._chosen.run == "sql-repair-07"
        shown = screen_text(app)
        assert "▲ H +6.0 Snap answers" in shown and "▲ W +6.0 GRPO on the case" in shown
        assert "2 wait for you · press W" in shown
        for name in ("sql-repair-07", "oldest", "sql-repair-07"):
            await pilot.press("W")
            await until(pilot, lambda name=name: app.view.state.run == name and app.here == "gate")
        await pilot.press("1", "W")
        await until(pilot, lambda: app.view.state.run == "oldest" and app.here == "gate")


async def test_without_a_gate_that_waits_w_says_so(place: Place) -> None:
    place.workspace.run("sql-repair-07").root.rename(place.workspace.root / "away")
    app = home(place)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: app._shelf is not None and app._shelf.complete)
        await pilot.press("W")
        await until(pilot, lambda: "no gate waits" in screen_text(app))
        assert app.here == "home"


async def test_enter_opens_a_run_and_q_comes_back_then_leaves(place: Place) -> None:
    app = home(place)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: listed(app))
        await pilot.press("3")
        assert app.here == "home" and "no run is open" in screen_text(app)
        for name in SCENES:
            rows = [view.run for view in app._shelf.views]  # type: ignore[union-attr]
            await pilot.press("g", *["j"] * rows.index(name), "enter")
            await until(pilot, lambda name=name: app.view.state.run == name)
            assert app.here == ("gate" if name == "sql-repair-07" else "live")
            await pilot.press("q")
            assert app.here == "home" and app.is_running
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)


async def test_whoever_leaves_from_home_is_offered_a_standing_yes_to_what_will_ask_them(place: Place) -> None:
    app = home(place)
    runs = [place.workspace.run(name) for name in ("kernels-3", "sql-repair-07")]
    with hold(runs[0].lock), hold(runs[1].lock):
        async with app.run_test(size=WIDE) as pilot:
            await until(pilot, lambda: listed(app) and "2 at work" in screen_text(app))
            await pilot.press("q")
            await until(pilot, lambda: isinstance(app.screen, Leaving))
            shown = screen_text(app)
            assert "sql-repair-07 waits at gate-4" in shown and "kernels-3 goes on, and waits at its next gate" in shown
            await pilot.press("u")
            await until(pilot, lambda: isinstance(app.screen, Form) and "approve gate-4, and until" in screen_text(app))
            assert app.here == "gate"
            await pilot.press("escape", "q")
            assert app.here == "home" and place.done == []


async def test_a_standing_yes_is_given_beforehand_to_a_run_at_work(place: Place) -> None:
    app = home(place)
    with hold(place.workspace.run("kernels-3").lock):
        async with app.run_test(size=WIDE) as pilot:
            await until(pilot, lambda: listed(app) and "1 at work" in screen_text(app))
            await pilot.press("q")
            await until(pilot, lambda: isinstance(app.screen, Leaving))
            await pilot.press("u")
            said = "yes to what will be asked: harness: at most 3 steps, 2 h of work"
            await until(pilot, lambda: isinstance(app.screen, Form) and said in screen_text(app))
            await pilot.press("ctrl+s")
            await until(pilot, lambda: place.done == [("contract", "kernels-3")])
            assert app.is_running and app.here == "live"


async def test_r_s_and_x_act_on_the_run_under_the_cursor_and_ask(place: Place) -> None:
    app = home(place)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: listed(app))
        rows = [view.run for view in app._shelf.views]  # type: ignore[union-attr]
        await pilot.press(*["j"] * rows.index("kernels-3"), "R")
        await until(pilot, lambda: place.done == [("resume", "kernels-3")])
        await pilot.press("S", "n", "S", "enter", "y")
        await until(pilot, lambda: place.done[1:] == [("stop", "kernels-3")])
        await pilot.press("x", *"wrong", "enter")
        assert len(place.done) == 2
        app.screen.query_one(Input).value = "kernels-3"
        await pilot.press("enter")
        await until(pilot, lambda: place.done[2:] == [("delete", "kernels-3")])


async def test_a_run_with_a_living_engine_is_not_deleted(place: Place) -> None:
    app = home(place)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        with hold(place.workspace.run("kernels-3").lock):
            await until(pilot, lambda: listed(app) and "1 at work" in screen_text(app))
            rows = [view.run for view in app._shelf.views]  # type: ignore[union-attr]
            await pilot.press(*["j"] * rows.index("kernels-3"), "x")
            await until(pilot, lambda: "its engine is alive" in screen_text(app))
            assert not app.screen.is_modal


async def test_two_marked_runs_are_compared(place: Place) -> None:
    app = home(place)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: listed(app))
        await pilot.press("c")
        await until(pilot, lambda: "space marks a run" in screen_text(app))
        first, second, _ = (view.run for view in app._shelf.views)  # type: ignore[union-attr]
        await pilot.press("space", "j", "c")
        await until(pilot, lambda: f"{first} beside {second}" in screen_text(app))
        await pilot.press("q")
        assert not app.screen.is_modal


async def test_runs_are_found_by_name_task_and_status_and_q_shows_all_again(place: Place) -> None:
    app = home(place)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: listed(app))
        pane = app.query_one(HomePane)
        for typed, found in (("gate lawbench", "sql-repair-07"), ("DONE", "charges-1"), ("kernels", "kernels-3")):
            await pilot.press("slash", *typed, "enter")
            assert [view.run for view in pane._views] == [found], typed
            await pilot.press("q")
            assert len(pane._views) == len(SCENES) and app.focused is not None and app.focused.id == "runs"
        await pilot.press("slash", *"nowhere", "enter")
        assert "no run says “nowhere”: esc shows all again" in screen_text(app)
        await pilot.press("escape")
        assert len(pane._views) == len(SCENES) and app.is_running
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)


async def test_a_run_is_begun_from_a_form_that_says_what_is_wrong_at_the_field(place: Place) -> None:
    app = home(place)
    async with app.run_test(size=(120, 50)) as pilot:
        await until(pilot, lambda: listed(app))
        await pilot.press("n")
        await until(pilot, lambda: app.screen.is_modal and "budget.steps" in screen_text(app))
        form = app.screen
        assert form.query_one("#budget-money", Input).placeholder == "no limit"
        await until(pilot, lambda: "a training takes 2 h with nothing set" in screen_text(app))
        form.query_one("#budget-steps", Input).value = "-1"
        form.query_one("#name", Input).value = "charges-1"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "✗ budget.steps: input should be greater" in screen_text(app))
        assert "run charges-1 exists" in screen_text(app) and place.done == []
        form.query_one("#budget-steps", Input).value = "2"
        form.query_one("#name", Input).value = "fresh-1"
        form.query_one("#budget-gpu_hours", Input).focus().value = "120"
        await pilot.press("enter")
        await until(pilot, lambda: "2 h with budget.steps=2, budget.gpu_hours=120" in screen_text(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.view.state.run == "fresh-1")
        set_there = ("budget.steps=2", "budget.gpu_hours=120")
        assert place.done == [("begin", Draft(CONFIG, "fresh-1", None, set_there))] and app.here == "live"


async def test_what_cannot_be_read_is_said_in_its_line(place: Place) -> None:
    app = home(place)
    place.workspace.run("charges-1").db.write_bytes(b"nonsense" * 99)
    place.workspace.run("sql-repair-07").config.unlink()
    lock = place.workspace.run("kernels-3").lock
    lock.unlink(missing_ok=True)
    lock.symlink_to(lock)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: listed(app))
        assert screen_text(app).count("? unreadable") == 3


async def test_a_folder_of_no_run_name_hides_no_run_and_is_told(place: Place) -> None:
    shutil.copytree(place.workspace.run("kernels-3").root, place.workspace.runs / "kernels 3 [copy]")
    app = home(place)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: listed(app))
        rows = [view.run for view in app._shelf.views]  # type: ignore[union-attr]
        await pilot.press("/", *"[copy]", "enter")
        await until(pilot, lambda: "is no run name: rename it or move it out of runs" in screen_text(app))
        assert rows[-1] == "kernels 3 [copy]" and {"kernels-3", "sql-repair-07"} < set(rows)
        await pilot.press("enter")
        await until(pilot, lambda: "not a run name" in screen_text(app))


async def test_who_leads_the_open_run_has_no_say_in_the_others(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sia_tui.store.windows.STALE_S", 600.0)
    note_window(place.workspace.run("kernels-3"), "bens", Open("ben", False, "2026-01-01T00:00:00.000+00:00"))
    app = home(place)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: listed(app))
        await app.open_run("kernels-3")
        await until(pilot, lambda: "ben leads" in app.refusal)
        await pilot.press("1", "n")
        await until(pilot, lambda: app.screen.is_modal and "budget.steps" in screen_text(app))
        await pilot.press("escape")
        rows = [view.run for view in app._shelf.views]  # type: ignore[union-attr]
        await pilot.press("g", *["j"] * rows.index("kernels-3"), "R")
        await until(pilot, lambda: "ben leads this run" in screen_text(app))
        assert place.done == []
        await pilot.press("g", *["j"] * rows.index("sql-repair-07"), "R")
        await until(pilot, lambda: place.done == [("resume", "sql-repair-07")])


async def test_a_run_is_closed_while_one_of_its_panes_is_coming(place: Place) -> None:
    app = home(place)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: listed(app))
        await app.open_run("kernels-3")
        app.action_pane("curves")
        await app.close_run("kernels-3")
        await pilot.pause(0.2)
        assert app._there == {"home"} and not app._coming
        await app.open_run("kernels-3")
        await until(pilot, lambda: app.view.state.run == "kernels-3")
        await pilot.press("5")
        await until(pilot, lambda: "curves" in app._there and app.here == "curves")


async def test_reading_only_changes_nothing(place: Place) -> None:
    app = home(place, read_only=True)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: listed(app))
        await pilot.press("n", "R", "S", "x")
        await pilot.pause(0.1)
        assert place.done == [] and not app.screen.is_modal and "only reads" in screen_text(app)
        rows = [view.run for view in app._shelf.views]  # type: ignore[union-attr]
        await pilot.press("g", *["j"] * rows.index("sql-repair-07"), "enter")
        await until(pilot, lambda: app.here == "gate" and app.view.state.waiting is not None)
        await pilot.pause(0.7)
        await pilot.press("a", "d", "p")
        assert "READ ONLY" in screen_text(app) and place.done == []
        assert app._held is None, "nor is anything held that would be sent later"


@pytest.mark.parametrize(("theme", "size"), [("sia", WIDE), ("sia-colour-blind", SMALL)], ids=str)
def test_home(place: Place, snap_compare: Any, theme: str, size: tuple[int, int]) -> None:
    app = home(place, theme=theme)

    async def before(pilot: Any) -> None:
        # It flashes for two seconds.
        await until(pilot, lambda: listed(app) and bool(app._caller.waiting) and not app._flashes)
        await pilot.pause(0.2)

    assert snap_compare(app, terminal_size=size, run_before=before)


async def test_who_comes_back_is_told_what_was_decided_until_they_ask_why(place: Place) -> None:
    paths = place.workspace.run("kernels-3")
    note_seen(paths, "ana", datetime(2026, 1, 5, 7, 6, tzinfo=UTC))
    app = home(place)
    async with app.run_test(size=WIDE) as pilot:
        await app.open_run("kernels-3")
        await until(pilot, lambda: "AWAY" in screen_text(app))
        assert "2 decided: 1 kept, 1 rolled back · dev 1.2 → 31.0" in screen_text(app)
        await pilot.press("w")
        await until(pilot, lambda: "+29.8 [+27.8, +31.8] better on dev (gate: ana)" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "GENERATIONS" in screen_text(app))
        assert "AWAY" not in screen_text(app)
    assert last_seen(paths, "ana") == app.now().isoformat(timespec="milliseconds")
    assert last_seen(paths, "ben") is None


async def test_keys_are_rebound_and_every_action_is_a_command(place: Place) -> None:
    app = home(place, keys={"home.begin": "N", "app.leave": "b"})
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: listed(app))
        await pilot.press("n")
        assert not app.screen.is_modal and "N new run" in screen_text(app)
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert {"New run", "Compare", "Maximise", "Gate", "Leave at once"} <= set(titles)
        begin = next(command for command in app.get_system_commands(app.screen) if command.title == "New run")
        await begin.callback()
        await until(pilot, lambda: app.screen.is_modal)
        await pilot.press("escape", "b")
        await until(pilot, lambda: not app.is_running)


async def test_keys_that_cannot_be_are_said_once_the_window_is_there(place: Place) -> None:
    app = home(place, keys={"home.begn": "N", "home.stop": "ctrl+bogus", "app.gate": "g", "home.begin": "b"})
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: bool(app._notifications))
        said = "\n".join(str(note.message) for note in app._notifications)
        assert "config.yaml: keys.home.begn: no such binding" in said and "more: sia-tui config show)" in said
        await until(pilot, lambda: listed(app))
        assert " g gate " in screen_text(app) and " 4 rollouts " in screen_text(app)
    assert all(_arrives(key) for keys in known().values() for key in keys)


async def test_in_ascii_no_glyph_is_left(place: Place) -> None:
    app = home(place, ascii=True)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: listed(app))
        await app.open_run("sql-repair-07")
        await until(pilot, lambda: app.view.state.waiting is not None)
        for key in ("1", "2", "3", "5", "question_mark"):
            await pilot.press(key)
            await pilot.pause(0.1)
            signs = {char for char in drawn(app) if not char.isascii() and not char.isalpha()}
            assert signs <= {"：", "。"}, key


def test_every_sign_that_the_window_draws_has_one_in_ascii() -> None:
    files = [*(SOURCE / "tui").rglob("*.py"), *(SOURCE / "core").glob("*.py")]
    texts = {file.name: re.sub(r'""".*?"""|#.*', "", file.read_text("utf-8"), flags=re.DOTALL) for file in files}
    signs = {char for text in texts.values() for char in text if not char.isascii()}
    assert {"↷", "⚙", "°"} <= signs and not [char for char in signs if plain(char) == "?"]


def test_in_ascii_text_stays_and_what_draws_does_not() -> None:
    kept = "被告人、盗窃（第〇条）。「退赃」：＋５％～｢ﾊﾝ｣・〜　ご"
    assert plain(kept) == kept
    assert plain("31.0 ±3.2 · (±1)") == "31.0+-3.2 . (+1)"
    assert plain("\uffe8\uffed㊗🙂▞⣿─") == "??????#*-"


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Co", "Cn", "M"))))
def test_in_ascii_every_line_is_as_wide_as_it_was(text: str) -> None:
    assert cell_len(plain(text)) == cell_len(text)


def drawn(app: SiaApp) -> str:
    """What reaches the terminal: the screen after the line filters."""
    return "".join(strip.text for strip in app.screen._compositor.render_strips())


async def test_what_follows_a_yes_is_told_by_the_runs_own_config_as_soon_as_it_is_read(place: Place) -> None:
    app = home(place)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: listed(app) and bool(app._caller.waiting))
        await app.open_run("sql-repair-07")
        await until(pilot, lambda: "indecisive → rolled back" in screen_text(app))
        assert "asks you" not in screen_text(app)
