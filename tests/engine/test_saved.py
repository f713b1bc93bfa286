"""What is left of a training that breaks off is in the event that breaks it off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sia_tui.core import events as ev
from sia_tui.core.episodes import Attempt, Case, Sampled, Score
from sia_tui.core.room import DiskFull
from sia_tui.core.state import MACHINE
from sia_tui.core.telling import saved, tell
from sia_tui.engine import engine, training
from sia_tui.engine.commands import heed
from sia_tui.engine.saved import what_is_saved
from sia_tui.store.reader import append_command
from sia_tui.store.workspace import RunPaths
from sia_tui.store.writer import RunStore
from sia_tui.weights.whole import CHECKPOINTS, SEAL
from tests.core.story import proposal

LEFT = "saved: its checkpoint of step 10, 2 rollouts; g0 serves on"


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path)


@pytest.fixture
def store(paths: RunPaths) -> Iterator[RunStore]:
    """A training under way: two rollouts, checkpoints of steps 2 and 10, and one of step 12 that was cut short."""
    with RunStore(paths.db) as store:
        store.record(ev.RunCreated("r", "lawbench", "c"), ev.GenerationCreated(0, None, "c0", "t0", "k0"))
        store.record(ev.ProposalMade("p", proposal("idea", "weights")), ev.TrainingBegan("p", None))
        for number in range(2):
            attempt = Attempt(Case(f"c{number}", "train", {}, 0), "A", "policy", (), (), None, 0.1, "bwrap")
            store.record_episode(f"e{number}", "k", attempt, Score(1.0, None), Sampled("p", "train", 0, number))
        for step in (2, 10, 12):
            checkpoint = paths.training / "p" / CHECKPOINTS / f"checkpoint-{step}"
            checkpoint.mkdir(parents=True)
            if step < 12:
                (checkpoint / SEAL).write_text("{}")
        yield store


def test_before_the_first_checkpoint_it_says_that_there_is_none() -> None:
    assert saved(None, 7, 3) == "saved: no checkpoint yet, 7 rollouts; g3 serves on"


def asked(kind: str) -> Callable[[RunStore, RunPaths], None]:
    def ask(store: RunStore, paths: RunPaths) -> None:
        append_command(paths.db, kind, "ana", {})
        heed(store, paths)

    return ask


def refused(store: RunStore, paths: RunPaths) -> None:
    session: Any = SimpleNamespace(store=store, paths=paths, record=store.record)
    training._refuse(session, store.state.step("p"), "the trainer ended with status -9: Killed", by=MACHINE)


def stopped_by(error: Exception, then: Callable[..., int]) -> Callable[[RunStore, RunPaths], None]:
    def stop(store: RunStore, paths: RunPaths) -> None:
        report: Any = SimpleNamespace(say=print)
        assert then(store, report, paths, error) == engine.FAILED

    return stop


@pytest.mark.parametrize(
    ("break_off", "begins"),
    [
        (asked("pause"), "paused by ana; saved"),
        (asked("stop"), "no further steps (ana): stopped by a person; saved"),
        (asked("stop-training"), "p: ana ends the training early; its best look is measured; saved"),
        (refused, "p refused by the machine: the trainer ended with status -9: Killed; saved"),
        (stopped_by(DiskFull("no room"), engine._wait_for_room), "paused by the engine; no room; saved"),
        (stopped_by(RuntimeError("it broke"), engine._fail), "run failed: it broke; saved"),
    ],
    ids=["pause", "stop", "stop-training", "refused", "full", "failed"],
)
def test_every_event_that_breaks_a_training_off_says_it(
    break_off: Callable[[RunStore, RunPaths], None], begins: str, store: RunStore, paths: RunPaths
) -> None:
    before = len(store._log())
    break_off(store, paths)
    (event,) = (entry.event for entry in store._log()[before:])
    told = tell(event)
    assert told is not None and told.startswith(begins) and LEFT in told


def test_without_a_training_there_is_nothing_to_say(store: RunStore, paths: RunPaths) -> None:
    store.record(ev.ProposalRefused("p", "training", "the weights did not move"))
    assert what_is_saved(store, paths) == ""
    asked("pause")(store, paths)
    assert store.state.status == "paused" and store.state.stop_reason is None
    asked("resume")(store, paths)
    store.record(ev.RunPaused("the engine", "no room"))
    assert store.state.stop_reason == "no room"
    asked("resume")(store, paths)
    assert store.state.status == "running" and store.state.stop_reason is None
