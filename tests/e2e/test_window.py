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
def test_a_person_supervises_both_levers_leaves_and_comes_back(desk: Desk, run: str) -> None:
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
        time.sleep(DROPPED_S)
        first.press("a")
        first.see("gate-3 ·", within_s=120 + UNDO_S)
        assert "script: cloning" in first.see("WILL IT LEARN")
        time.sleep(DROPPED_S)
        first.press("a")
        first.see("No gate waits.", within_s=30 + UNDO_S)
        first.press("q")
        assert first.wait() == 0
        assert "sia-tui attach window" in first.screen()
    assert is_held(paths.lock)

    with Terminal(desk.command("attach", run, script="window"), desk.environment()) as second:
        second.press("3")
        second.see("gate-4 ·", within_s=180)
        second.press("6")
        second.see("script: cloning")
        history = second.see("script: worse")
        assert "weights" in history
        second.press("q")
        assert second.wait() == 0
    told = desk.show(run)
    assert [g["lever"] for g in told["generations"]] == ["seed", "harness", "weights"]
    assert told["refused"][0]["reason"] == "throws replies away"
    assert desk.cli("stop", run).returncode == 0
