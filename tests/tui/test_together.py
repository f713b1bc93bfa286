"""Several people at one run: one leads, the others watch, and every window says which."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.store.lock import hold
from sia_tui.store.windows import (
    LARGEST,
    LEFT_S,
    MOST,
    STALE_S,
    Open,
    forget_killed,
    forget_window,
    note_window,
    open_windows,
)
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.tui.app import SiaApp
from sia_tui.tui.company import Company, company
from sia_tui.tui.manners import Manners
from sia_tui.tui.screens.gate import GatePane
from sia_tui.tui.screens.leaving import Leaving
from sia_tui.tui.seat import Seat
from tests.tui.desk import WIDE, screen_text, settle
from tests.tui.opened import until
from tests.tui.place import Place
from tests.tui.runs import make_run, moment
from tests.tui.test_hostile import steering
from tests.tui.writer import HOSTILE

USERS = st.sampled_from(["ana", "ben", "eva"])
WINDOWS = st.lists(st.builds(Open, USERS, st.booleans(), st.sampled_from(["", "1", "2", "3"])), max_size=6)


@given(WINDOWS)
def test_one_at_most_leads_and_everybody_is_named_once(windows: list[Open]) -> None:
    found = company(windows)
    assert sorted({*found.watching, *filter(None, [found.lead])}) == sorted({one.user for one in windows})
    assert found.lead not in found.watching
    led = [one for one in windows if one.led and not one.read_only]
    assert bool(found.lead) == bool(led)
    assert not led or any(one.user == found.lead and one.led == max(one.led for one in led) for one in led)


def test_windows_that_went_and_files_that_are_none_are_passed_over(tmp_path: Path) -> None:
    paths, there = RunPaths(tmp_path), Open("ana\x1b[2J", False, "1", "gate")
    note_window(paths, "a", there)
    note_window(paths, "b", Open("ben", True))
    os.utime(paths.windows / "b", (time.time() - STALE_S - 5,) * 2)
    for name, text in {"c": "nothing", "d": "[]", "e": '{"user": 1}', "f": " " * (LARGEST + 1), ".part": "{}"}.items():
        (paths.windows / name).write_text(text)
    os.mkfifo(paths.windows / "g")
    assert open_windows(paths, time.time()) == {"a": there}
    for number in range(MOST):
        note_window(paths, f"{number:012x}", there)
        os.utime(paths.windows / f"{number:012x}", (time.time() - LEFT_S - 5,) * 2)
    assert open_windows(paths, time.time()) == {"a": there}, "what was left behind hides nobody"
    forget_killed(paths, time.time())
    assert {path.name for path in paths.windows.iterdir()} == {*"abcdefg", ".part"}
    forget_window(paths, "a")
    forget_window(paths, "a")
    assert open_windows(paths, time.time()) == {} == open_windows(RunPaths(tmp_path / "gone"), 0)


def window(paths: RunPaths, place: Place, read_only: bool = False) -> SiaApp:
    still, access = moment(paths), place.open(paths.name)
    return SiaApp(paths, access.ask, access.resume, lambda: still, place=place, manners=Manners(read_only=read_only))


async def test_who_comes_second_watches_follows_and_takes_the_lead_when_they_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody writes ben's file anew, and a busy machine takes its time.
    monkeypatch.setattr("sia_tui.store.windows.STALE_S", 600.0)
    workspace = Workspace(tmp_path)
    paths, place = make_run(workspace.run("r").root, "patch_gate"), Place(workspace)
    ben = Open("ben", False, "2026-01-01T00:00:00.000+00:00", "rollouts")
    note_window(paths, "bens", ben)
    with hold(paths.lock):
        app = window(paths, place)
        async with app.run_test(size=WIDE, notifications=True) as pilot:
            await until(pilot, lambda: "watching · ben leads" in screen_text(app))
            await pilot.press("3")
            await settle(pilot)
            await pilot.press("a")
            await until(pilot, lambda: "ben leads this run: L takes the lead" in screen_text(app))
            assert app.query_one(GatePane).verdicts.held is None
            await pilot.press("F")
            await until(pilot, lambda: app.here == "rollouts")
            await pilot.press("F", "3", "L")
            await until(pilot, lambda: "leading · ben watching" in screen_text(app))
            assert app.here == "gate" and app.refusal == ""
            leads = company(open_windows(paths, time.time()).values())
            await until(pilot, lambda: company(open_windows(paths, time.time()).values()).lead == "ana")
            note_window(paths, "bens", Open("ben", False, "2999-01-01T00:00:00.000+00:00"))
            await until(pilot, lambda: "ben leads now; L takes it back" in screen_text(app))
    assert leads.watching and list(open_windows(paths, time.time())) == ["bens"], "a window that is left is gone"


async def test_a_leader_leads_nobody_out_of_the_run_or_out_of_a_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sia_tui.store.windows.STALE_S", 600.0)
    workspace = Workspace(tmp_path)
    paths = make_run(workspace.run("r").root, "patch_gate")

    def leads(pane: str) -> None:
        note_window(paths, "bens", Open("ben", False, "2026-01-01T00:00:00.000+00:00", pane))

    leads("gate")
    with hold(paths.lock):
        app = window(paths, Place(workspace))
        async with app.run_test(size=WIDE, notifications=True) as pilot:
            await until(pilot, lambda: "watching · ben leads" in screen_text(app))
            await pilot.press("F")
            await until(pilot, lambda: app.here == "gate")
            seat = app._seat
            assert seat is not None
            for pane in ("home", "../rollouts", HOSTILE):
                leads(pane)
                await until(pilot, lambda pane=pane: seat.company.pane == pane[:100])
                await pilot.pause(0.2)
                assert app.here == "gate" and steering(screen_text(app)) == [], pane
            await pilot.press("question_mark")
            leads("live")
            await until(pilot, lambda: seat.company.pane == "live")
            await pilot.pause(0.2)
            assert app.here == "gate", "not while something is read or filled in"
            await pilot.press("escape")
            await until(pilot, lambda: app.here == "live")
            leads("rollouts")
            await until(pilot, lambda: app.here == "rollouts")
            await settle(pilot)
            await pilot.press("slash", "x")
            leads("live")
            await until(pilot, lambda: seat.company.pane == "live")
            await pilot.pause(0.2)
            assert app.here == "rollouts", "nor while something is searched for"
            await pilot.press("escape")
            await until(pilot, lambda: app.here == "live")
            await pilot.press("6")
            await until(pilot, lambda: "no longer following" in screen_text(app))
            await pilot.pause(0.2)
            assert app.here == "history"
            await until(pilot, lambda: app.view.alive)
            await pilot.press("q")
            await until(pilot, lambda: not app.is_running)
    assert not app.screen_stack or not isinstance(app.screen, Leaving), "who watches is offered no yes"


def test_a_lead_that_is_taken_while_others_are_looked_at_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make_run(tmp_path / "r", "fresh")
    note_window(paths, "bens", Open("ben", False, "2026-01-01T00:00:00.000+00:00"))
    seat = Seat(paths, "ana", False)
    takes = threading.Thread(target=seat.lead)

    def slow(windows: Iterable[Open]) -> Company:
        found = company(windows)
        if takes.ident is None and found.lead and found.watching:
            takes.start()
            takes.join(0.2)
        return found

    monkeypatch.setattr("sia_tui.tui.seat.company", slow)
    seat.look()
    takes.join()
    assert seat.company.lead == "ana"


async def test_a_window_that_only_reads_watches(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    paths = make_run(workspace.run("r").root, "patch_gate")
    app = window(paths, Place(workspace), read_only=True)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: "READ ONLY" in screen_text(app) and "watching │" in screen_text(app))
        await pilot.press("L")
        await until(pilot, lambda: "this window only reads" in screen_text(app))
        await pilot.press("F")
        await until(pilot, lambda: "nobody else leads this run" in screen_text(app))
        assert company(open_windows(paths, time.time()).values()).lead == ""
