"""The window on a real terminal, with a real run behind it: decide, leave, come back, read."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from sia_tui.store.lock import is_held
from tests.e2e.conftest import Desk
from tests.e2e.killing import belonging, paths_of
from tests.terminal import Terminal

pytestmark = pytest.mark.xdist_group("e2e-levers")

DROPPED_S = 0.7
"""Keys of a gate's first half second are dropped; a person takes longer to read it anyway."""
UNDO_S = 15.0


@pytest.fixture
def run(desk: Desk) -> Iterator[str]:
    """The run's name; its engine, which outlives the window, does not outlive the test."""
    yield "window"
    for entry in belonging(paths_of(desk, "window")):
        with suppress(ProcessLookupError):
            os.kill(int(entry.name), signal.SIGKILL)


@pytest.mark.timeout(400)
def test_a_person_supervises_leaves_comes_back_and_plays_it_again(desk: Desk, run: str) -> None:
    paths = paths_of(desk, run)
    start = desk.command("run", str(desk.config), "--name", run, "--gate", "ask", script="window")
    with Terminal(start, desk.environment()) as first:
        first.see("GATE waits", within_s=180)
        first.press("3")
        first.see("gate-1 ·")
        assert "script: worse" in first.see("run this patch on dev?")
        first.press("\r")
        time.sleep(DROPPED_S)
        first.press("r")
        first.see("why not?")
        first.press("throws replies away\r")
        first.see("gate-2 ·", within_s=90 + UNDO_S)
        first.see("a_note.md")
        time.sleep(DROPPED_S)
        first.press("\t ")
        first.see("[ ]")
        first.press("a")
        first.see("gate-3 ·", within_s=90 + UNDO_S)
        assert "without a_note.md:1 +1 -0" in first.see("changed by")
        time.sleep(DROPPED_S)
        first.press("u")
        first.see("at most 3 steps")
        first.press("\x13")
        first.see("No gate waits.", within_s=30 + UNDO_S)
        first.press("\x11")
        assert first.wait() == 0, first.after()
        assert "sia-tui attach window" in first.screen()
    assert is_held(paths.lock)

    with Terminal(desk.command("attach", run, script="window"), desk.environment()) as second:
        second.press("3")
        # A standing yes to harness steps is none to the end of the run.
        second.see("gate-4 ·", within_s=180)
        second.press("6")
        second.see("script: better")
        second.press("\x11")
        assert second.wait() == 0, second.after()
    told = desk.show(run)
    assert [g["lever"] for g in told["generations"]] == ["seed", "harness"]
    assert told["contract"]["left"] and told["generations"][1]["verdict"]["kind"] == "approve"
    assert told["refused"][0]["reason"] == "throws replies away"
    names = desk.git("ls-tree", "--name-only", f"{run}/g1", "lawbench/").split()
    assert "lawbench/harness.py" in names and "lawbench/a_note.md" not in names
    assert desk.cli("stop", run).returncode == 0

    with Terminal(desk.command("replay", run), desk.environment()) as again:
        again.see("p plays")
        again.press(">")
        assert "script: worse" in again.see("GATE waits")
        again.press("q")
        assert again.wait() == 0, again.after()
