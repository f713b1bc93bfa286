"""Signals: the engine ends or pauses in good order, and a training makes a checkpoint first, within its grace time."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sia_tui.config import RunConfig
from sia_tui.core import events as ev
from sia_tui.engine import engine, training
from sia_tui.engine.engine import CUT_OFF, FAILED, WAITING, Options, run_engine
from sia_tui.engine.leaving import Grace
from sia_tui.engine.rollout import Interrupted
from sia_tui.store.reader import RunReader, append_command
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.weights import protocol as wire
from tests.engine.filling import begin, session

SAVED = "saved: its checkpoint of step 4, 0 rollouts; g0 serves on"


def config(grace_s: float) -> RunConfig:
    return RunConfig.model_validate({"task": {"name": "lawbench"}, "engine": {"grace_s": grace_s}})


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunPaths:
    """A run amid a training, whose engine is real but for what it does next."""
    monkeypatch.setattr(engine, "open_session", session)
    monkeypatch.setattr(engine.history, "follow_log", lambda _: None)
    paths = Workspace(tmp_path).run("r")
    begin(paths)
    return paths


def run(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch, work: Callable[[Any], Any], grace_s: float
) -> tuple[int, list[str]]:
    said: list[str] = []

    async def perform(session: Any, action: object) -> None:
        await work(session)

    async def main() -> int:
        options = Options(True, said.append)
        options.leaving.heed_signals(grace_s)
        try:
            return await run_engine(Workspace(paths.root.parents[1]), paths, config(grace_s), options)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
                asyncio.get_running_loop().remove_signal_handler(number)

    monkeypatch.setattr(engine, "perform", perform)
    return asyncio.run(main()), said


def ends_its_batch(*signals: int) -> Callable[[Any], Any]:
    async def work(session: Any) -> None:
        for number in signals:
            os.kill(os.getpid(), number)
        while not session.interrupted():  # noqa: ASYNC110 - it is asked, nobody tells
            await asyncio.sleep(0.01)
        session.store.metrics("p", 1, {"reward": 0.5})
        raise Interrupted

    return work


async def heeds_nothing(session: Any) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(60)


async def heeds_nothing_twice(session: Any) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(60)


def test_sigterm_ends_the_batch_and_the_run_goes_on_from_there(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = run(paths, monkeypatch, ends_its_batch(signal.SIGTERM), 60)
    assert code == CUT_OFF and said[-1].endswith(f"engine stopped; {SAVED}; go on with: sia-tui resume r")
    with_metrics = RunReader(paths.db)
    assert with_metrics.state().status == "running" and len(with_metrics.metrics("p")) == 1


@pytest.mark.parametrize(("work", "grace_s"), [(heeds_nothing, 0.1), (heeds_nothing_twice, 60)])
def test_what_does_not_end_in_its_time_is_broken_off(
    work: Callable[[Any], Any], grace_s: float, paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = run(paths, monkeypatch, work, grace_s)
    assert code == CUT_OFF and said[-1].endswith("go on with: sia-tui resume r")


def test_an_engine_ends_with_its_folder(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes to that place later would hold another lock, and work on the same branch."""
    moved = paths.root.with_name("moved")

    async def moves(session: Any) -> None:
        paths.root.rename(moved)
        await asyncio.sleep(60)

    async def deletes(session: Any) -> None:
        shutil.rmtree(paths.root)
        await asyncio.sleep(60)

    async def replaces(session: Any) -> None:
        """And what it does next fails for that."""
        paths.root.rename(moved.with_name("elsewhere"))
        shutil.copytree(moved.with_name("elsewhere"), paths.root)
        raise OSError(2, "No such file or directory")

    for work in (moves, replaces, deletes):
        code, said = run(paths, monkeypatch, work, 60)
        assert code == FAILED and f"the run's folder was moved or deleted: {paths.root}" in said[-1], work
        if moved.exists():
            assert RunReader(moved / "run.db").state().status == "running"
            moved.rename(paths.root)
    assert not paths.root.exists()


def test_a_warning_pauses_the_run_at_the_next_safe_point(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _ = run(paths, monkeypatch, ends_its_batch(signal.SIGUSR1), 60)
    state = RunReader(paths.db).state()
    assert (code, state.status) == (WAITING, "paused")
    assert state.stop_reason == f"the machine is about to be taken away; {SAVED}; go on with: sia-tui resume r"
    append_command(paths.db, "resume", "ana", {})
    code, _ = run(paths, monkeypatch, ends_its_batch(signal.SIGTERM), 60)
    assert code == CUT_OFF and RunReader(paths.db).state().status == "running"


class Trainer:
    """Says that it has left once it is told to."""

    def __init__(self, deaf: bool) -> None:
        self.told: list[wire.Told] = []
        self._deaf = deaf
        self._heard = asyncio.Event()

    async def hear(self) -> wire.Said:
        await self._heard.wait()
        return wire.Left(step=5)

    async def tell(self, told: wire.Told) -> None:
        self.told.append(told)
        if not self._deaf:
            self._heard.set()


@pytest.mark.parametrize("deaf", [False, True])
async def test_a_training_is_told_to_leave_once_and_has_its_time(deaf: bool) -> None:
    step: Any = SimpleNamespace(id="p", cut_short_by=None)
    asked: Any = SimpleNamespace(
        interrupted=lambda: True,
        report=SimpleNamespace(beat=lambda: None),
        state=SimpleNamespace(step=lambda _: step, stop_asked=None),
    )
    trainer: Any = Trainer(deaf)
    grace = Grace(0.5, asked.interrupted, lambda: False)
    if deaf:
        with pytest.raises(Interrupted):
            await training.heard(asked, step, trainer, grace)
    else:
        assert await training.heard(asked, step, trainer, grace) == wire.Left(step=5)
    assert [told.leave for told in trainer.told] == [True]
    with pytest.raises(Interrupted):
        await training.heard(asked, step, trainer)


def test_who_has_nothing_to_save_has_no_time_either() -> None:
    asked = [False]
    grace = Grace(60, lambda: asked[0], lambda: True)
    assert not grace.over()
    asked[0] = True
    assert grace.over() and not Grace(60, lambda: True, lambda: False).over()
    assert Grace(0, lambda: True, lambda: False).over()


def test_grace_is_the_engines_and_changes_no_hash() -> None:
    assert config(1).hash == config(2).hash and ev.RunPaused("me").why == ""
