"""A run whose levers the advisor picks: it is told in the log, bound by the gate, and what it came to is learned from."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sia_tui.core.hashing import digest
from sia_tui.core.pulls import FEATURES
from sia_tui.core.recall import recall
from sia_tui.store.memory import learned
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import Workspace
from tests.e2e.conftest import ROOT, Desk
from tests.e2e.killing import paths_of


@pytest.mark.long
def test_the_advisor_decides_and_learns(desk: Desk) -> None:
    settings = ("agents.feedback=advisor", "agents.levers=[harness]", "budget.steps=2", "evaluate.open_test=false")
    sets = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "sia_tui", "run", str(desk.config), "--name", "advised", *sets]
    ended = subprocess.run(
        command, cwd=ROOT, env=desk.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    state = RunReader(paths_of(desk, "advised").db).state()
    first, second = state.made
    assert first.advice is not None and first.advice.lever == first.proposal.lever == "harness"
    assert "nothing was measured yet; the harness until it stalls, then the weights: harness" in first.proposal.reason
    assert second.advice is not None and second.advice.steps == 1
    for step in state.made:
        assert all(tuple(pay.features) == FEATURES for pay in step.advice.pays) if step.advice else False
        assert all(gate.parts["advice"] != digest(None) for gate in step.gates)
    told = learned(Workspace(desk.workspace).db, "lawbench")
    mine = tuple(pull for pull in told.pulls if pull.run == "advised")
    assert mine == recall(state).pulls and [pull.id for pull in mine] == [first.id, second.id]
