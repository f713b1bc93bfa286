"""A trainer that dies while a plan is tried is a finding with its reason, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from sia_tui.engine.rehearsal import TRIES, rehearse
from sia_tui.engine.rollout import Interrupted
from sia_tui.engine.trainer import Trainer
from sia_tui.weights.protocol import Job, Rollout, Said
from tests.weights.bandit import job, plan

GROUPS = [[Rollout(case="c0", sample=sample, reward=0.0, solved=False, calls=()) for sample in range(4)]]


def orphan(folder: Path) -> Job:
    """A job whose parent is missing, which the trainer finds out before it imports anything large."""
    return job(folder / "model", folder, plan(), parent=folder / "nobody")


async def test_a_trainer_that_dies_is_started_again_and_then_reported(tmp_path: Path) -> None:
    asked, log = orphan(tmp_path), tmp_path / "trainer.log"
    made = await rehearse(asked, GROUPS, log, Trainer.hear)
    assert made.steps == 0 and made.learned == 4 and made.seconds > 0
    assert made.fault.startswith("the trainer ended with status 4: FileNotFoundError: ") and str(log) in made.fault
    assert log.read_text().count("the training broke") == TRIES
    assert not asked.folder.exists()


async def test_a_pause_is_let_through_and_leaves_no_trainer(tmp_path: Path) -> None:
    pids: list[int] = []

    async def hear(trainer: Trainer) -> Said:
        pids.append(trainer.pid)
        raise Interrupted

    asked = orphan(tmp_path)
    with pytest.raises(Interrupted):
        await rehearse(asked, GROUPS, tmp_path / "trainer.log", hear)
    assert len(pids) == 1 and not Path(f"/proc/{pids[0]}").exists() and not asked.folder.exists()
