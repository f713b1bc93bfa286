"""kill -9 at many moments, resume after each: nothing lost, nothing done twice, nobody left behind."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from sia_tui.core.episodes import Score
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import Workspace
from tests.e2e.conftest import ROOT, Desk

pytestmark = pytest.mark.xdist_group("e2e-fates")

EARLY = (2, 4, 6)
"""Events after which the task, the baselines and the policy are being made ready."""
LATER = 7
"""Kills spread evenly over what follows: episodes, proposals, gates, decisions, test."""


def test_a_run_killed_again_and_again_is_the_run_that_was_not(desk: Desk, fates: dict[str, Any]) -> None:
    events = count(desk, "fates")
    marks = [*EARLY, *(EARLY[-1] + (events - EARLY[-1] - 2) * kill // LATER for kill in range(1, LATER + 1))]

    process = start(desk, "run", str(desk.config), "--name", "killed")
    killed_at = []
    for mark in marks:
        if wait_for(desk, mark, process):
            killed_at.append(count(desk, "killed"))
            os.kill(process.pid, signal.SIGKILL)
            process.wait(timeout=30)
            require_no_orphans(desk)
            process = start(desk, "resume", "killed")
    assert process.wait(timeout=240) == 0
    assert len(killed_at) >= 10, killed_at

    assert story(desk, "killed") == story(desk, "fates")
    assert outcomes(desk, "killed") == outcomes(desk, "fates")
    assert count(desk, "killed", "kind = 'EpisodeDone'") == count(desk, "fates", "kind = 'EpisodeDone'")
    for kind in ("TestOpened", "GenerationCreated", "GenerationKept", "ProposalMade", "VerdictGiven", "RunEnded"):
        assert count(desk, "killed", f"kind = '{kind}'") == count(desk, "fates", f"kind = '{kind}'"), kind


def start(desk: Desk, *arguments: str) -> subprocess.Popen[bytes]:
    out = (desk.workspace.parent / "killed.log").open("ab")
    return subprocess.Popen(
        desk.command(*arguments), cwd=ROOT, env=desk.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out
    )


def database(desk: Desk, run: str) -> Path:
    return Workspace(desk.workspace).run(run).db


def count(desk: Desk, run: str, where: str = "1") -> int:
    connection = sqlite3.connect(f"{database(desk, run).as_uri()}?mode=ro", uri=True)
    try:
        return int(connection.execute(f"select count(*) from events where {where}").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def wait_for(desk: Desk, mark: int, process: subprocess.Popen[bytes]) -> bool:
    """Until the run has so many events. False when it ended before."""
    end = time.monotonic() + 240
    while time.monotonic() < end:
        if process.poll() is not None:
            return False
        if database(desk, "killed").exists() and count(desk, "killed") >= mark:
            return True
        time.sleep(0.01)
    raise AssertionError(
        f"the run does not come to {mark} events: {(desk.workspace.parent / 'killed.log').read_text()[-2000:]}"
    )


def require_no_orphans(desk: Desk) -> None:
    """Gateway, workers and verifier die with their engine, within seconds."""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        left = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit() and _belongs(entry, desk)]
        if not left:
            return
        time.sleep(0.05)
    raise AssertionError(f"still there after the kill: {left}")


def _belongs(entry: Path, desk: Desk) -> bool:
    try:
        command = (entry / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
    return f"{desk.workspace}/runs/killed" in command


def story(desk: Desk, run: str) -> list[Any]:
    """What happened, without ids and dates: trees, scores, fates."""
    state = RunReader(database(desk, run)).state()
    generations = [(g.tree, g.key, g.kept, {s: (r.mean, r.n) for s, r in g.results.items()}) for g in state.generations]
    steps = [(s.proposal.title, s.lights, s.preview, s.measured and s.measured.gain) for s in state.steps]
    return [generations, steps, state.incumbent, state.stop_reason, state.status]


def outcomes(desk: Desk, run: str) -> dict[tuple[str, str], tuple[str | None, Score, int]]:
    """Every episode's answer, score and number of calls."""
    reader = RunReader(database(desk, run))
    return {
        (generation.key, attempt.case.id): (attempt.answer, score, len(attempt.calls))
        for generation in reader.state().generations
        for split in ("train", "dev", "hidden", "test")
        for _, attempt, score in reader.trajectories(generation.key, split)
    }
