"""kill -9 at many moments, resume after each: nothing lost, nothing done twice, nobody left behind."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from sia_tui.core.episodes import Score
from sia_tui.store.reader import RunReader
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

    assert story(desk, "killed") == story(desk, "fates")
    assert outcomes(desk, "killed") == outcomes(desk, "fates")
    assert count(desk, "killed", "kind = 'EpisodeDone'") == count(desk, "fates", "kind = 'EpisodeDone'")
    for kind in ("TestOpened", "GenerationCreated", "GenerationKept", "ProposalMade", "VerdictGiven", "RunEnded"):
        assert count(desk, "killed", f"kind = '{kind}'") == count(desk, "fates", f"kind = '{kind}'"), kind


def count(desk: Desk, run: str, where: str = "1") -> int:
    return asked(paths_of(desk, run), f"select count(*) from events where {where}")


def story(desk: Desk, run: str) -> list[Any]:
    """What happened, without ids and dates: trees, scores, fates."""
    state = RunReader(paths_of(desk, run).db).state()
    generations = [(g.tree, g.key, g.kept, {s: (r.mean, r.n) for s, r in g.results.items()}) for g in state.generations]
    steps = [(s.proposal.title, s.lights, s.preview, s.measured and s.measured.gain) for s in state.steps]
    return [generations, steps, state.incumbent, state.stop_reason, state.status]


def outcomes(desk: Desk, run: str) -> dict[tuple[str, str], tuple[str | None, Score, int]]:
    """Every episode's answer, score and number of calls."""
    reader = RunReader(paths_of(desk, run).db)
    return {
        (generation.key, attempt.case.id): (attempt.answer, score, len(attempt.calls))
        for generation in reader.state().generations
        for split in ("train", "dev", "hidden", "test")
        for _, attempt, score in reader.trajectories(generation.key, split)
    }
