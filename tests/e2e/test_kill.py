"""kill -9 at many moments, resume after each: nothing lost, nothing done twice, nobody left behind."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from sia_tui.store.workspace import Workspace
from tests.e2e.alike import left_over, outcomes, story
from tests.e2e.conftest import Desk
from tests.e2e.killing import asked, paths_of, require_no_orphans, start, wait_for

pytestmark = pytest.mark.xdist_group("e2e-fates")

EARLY = (2, 4, 6)
"""Events after which the task, the baselines and the policy are being made ready."""
LATER = 7
"""Kills spread evenly over what follows: episodes, proposals, gates, decisions, test."""


@pytest.mark.long
def test_a_run_killed_again_and_again_is_the_run_that_was_not(desk: Desk, fates: dict[str, Any]) -> None:
    paths, log = paths_of(desk, "killed"), desk.workspace.parent / "killed.log"
    events = count(desk, "fates")
    marks = [*EARLY, *(EARLY[-1] + (events - EARLY[-1] - 2) * kill // LATER for kill in range(1, LATER + 1))]

    process = start(desk, "run", str(desk.config), "--name", "killed", script="fates", log=log)
    killed_at = []
    for mark in marks:
        if wait_for(paths, process, "select count(*) from events", mark):
            killed_at.append(count(desk, "killed"))
            os.kill(process.pid, signal.SIGKILL)
            process.wait(timeout=30)
            require_no_orphans(paths)
            process = start(desk, "resume", "killed", script="fates", log=log)
    assert process.wait(timeout=240) == 0
    assert len(killed_at) >= 10, killed_at

    assert story(paths) == story(paths_of(desk, "fates"))
    assert outcomes(paths) == outcomes(paths_of(desk, "fates"))
    assert left_over(Workspace(desk.workspace), paths) == []
    assert count(desk, "killed", "kind = 'EpisodeDone'") == count(desk, "fates", "kind = 'EpisodeDone'")
    for kind in ("TestOpened", "GenerationCreated", "GenerationKept", "ProposalMade", "VerdictGiven", "RunEnded"):
        assert count(desk, "killed", f"kind = '{kind}'") == count(desk, "fates", f"kind = '{kind}'"), kind


def count(desk: Desk, run: str, where: str = "1") -> int:
    return asked(paths_of(desk, run), f"select count(*) from events where {where}")
