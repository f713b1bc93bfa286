"""A run in the background: followed, paused, resumed, stopped, and never disturbed by who watches it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest

from sia_tui.store.lock import is_held
from sia_tui.store.workspace import Workspace
from tests.e2e.conftest import ROOT, Desk

pytestmark = pytest.mark.long

RUN = "steered"


def until(what: Callable[[], bool], timeout: float = 120.0) -> None:
    end = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)


def episodes(desk: Desk) -> int:
    return int(desk.show(RUN)["cost"]["episodes"])


def test_a_background_run_is_steered_from_other_terminals(desk: Desk) -> None:
    started = desk.cli(
        "run",
        str(desk.config),
        "--name",
        RUN,
        "--detach",
        "--set",
        "budget.steps=0",
        "--set",
        "harness.lanes=1",
        "--set",
        "evaluate.train=null",
    )
    assert started.returncode == 0 and "attach steered" in started.stdout, started.stderr
    lock = Workspace(desk.workspace).run(RUN).lock
    attached = subprocess.Popen(
        desk.command("attach", RUN), cwd=ROOT, env=desk.environment(), stdout=subprocess.PIPE, text=True
    )
    until(lambda: episodes(desk) > 3)

    second = desk.cli("resume", RUN)
    assert second.returncode == 2 and "held by engine pid" in second.stderr
    assert desk.cli("pause", RUN).returncode == 0
    assert desk.show(RUN)["status"] == "paused"
    until(lambda: _still(desk))
    held = episodes(desk)
    time.sleep(1.0)
    assert episodes(desk) == held and is_held(lock)

    assert desk.cli("resume", RUN).returncode == 0
    until(lambda: episodes(desk) > held)
    assert desk.cli("stop", RUN).returncode == 0
    until(lambda: not is_held(lock))
    told = desk.show(RUN)
    assert (told["status"], told["stop_reason"], told["test"]) == ("stopped", "stopped by a person", None)

    out, _ = attached.communicate(timeout=30)
    assert attached.returncode == 0 and "paused by" in out and "run stopped: stopped by a person" in out


def _still(desk: Desk) -> bool:
    before = episodes(desk)
    time.sleep(0.5)
    return episodes(desk) == before
