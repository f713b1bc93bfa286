"""A run amid a training whose disk fills up, and which goes on once there is room: `python -m tests.engine.filling ROOT`.

The engine, its store and its commands are real; what it would do next is to write until nothing goes in any more.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sia_tui.config import RunConfig
from sia_tui.core import events as ev
from sia_tui.engine import engine
from sia_tui.engine.engine import Options, run_engine
from sia_tui.engine.session import Session
from sia_tui.store.reader import RunReader, append_command
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore
from sia_tui.weights.whole import CHECKPOINTS, SEAL
from tests.core.story import proposal

CONFIG = RunConfig.model_validate({"task": {"name": "lawbench"}})


def main(root: Path, real: bool) -> None:
    workspace = Workspace(root)
    paths = workspace.run("r")
    begin(paths)
    engine.open_session = session  # type: ignore[attr-defined]
    engine.history.follow_log = lambda _: None  # type: ignore[assignment]
    told = []
    for perform in (fill if real else refuse, fail if real else refuse, end):
        engine.perform = perform  # type: ignore[attr-defined]
        if perform is end:
            (root / "filler").unlink(missing_ok=True)
        lines: list[str] = []
        code = asyncio.run(run_engine(workspace, paths, CONFIG, Options(True, lines.append)))
        state = RunReader(paths.db).state()
        told.append({"code": code, "status": state.status, "why": state.stop_reason, "said": lines})
        if state.status == "paused":
            append_command(paths.db, "resume", "ana", {})
    print(json.dumps(told))


def begin(paths: RunPaths) -> None:
    paths.root.mkdir(parents=True)
    with RunStore(paths.db) as store:
        store.record(ev.RunCreated("r", "lawbench", "c"), ev.GenerationCreated(0, None, "c0", "t0", "k0"))
        store.record(ev.ProposalMade("p", proposal("idea", "weights")), ev.TrainingBegan("p", None))
    for step in (2, 4, 6):
        checkpoint = paths.training / "p" / CHECKPOINTS / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        if step < 6:
            (checkpoint / SEAL).write_text("{}")


@asynccontextmanager
async def session(
    workspace: Workspace, paths: RunPaths, config: RunConfig, store: RunStore, report: Any, interrupted: Any
) -> AsyncIterator[Session]:
    task: Any = SimpleNamespace(name="lawbench")
    async with AsyncExitStack() as stack:
        yield Session(workspace, paths, config, store, report, task, None, "none", interrupted, stack)  # type: ignore[arg-type]


async def fill(held: Any, action: object) -> None:
    """Somebody else takes what is left; then the run writes on."""
    take_all(held)
    for step in range(10_000):
        held.store.metrics("p", step, {"reward": 0.5})


async def fail(held: Any, action: object) -> None:
    """As git does: it does not say why."""
    take_all(held)
    raise RuntimeError("git update-ref: fatal: couldn't write refs/tags/r/g1.lock")


def take_all(held: Any) -> None:
    filler = os.open(held.workspace.root / "filler", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        while True:
            os.write(filler, bytes(4096))
    except OSError as full:
        assert full.errno == errno.ENOSPC
    finally:
        os.close(filler)


async def refuse(held: Any, action: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "file")


async def end(held: Any, action: object) -> None:
    held.record(ev.RunEnded("done", "it went on"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "tmpfs")
