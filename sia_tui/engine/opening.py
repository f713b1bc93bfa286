"""A session opened over a run's folder: its task read, its verifier up, its walls chosen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from sia_tui.children import stoppable
from sia_tui.config import RunConfig
from sia_tui.engine.prepare import require_same_task
from sia_tui.engine.progress import Reporter
from sia_tui.engine.session import Session
from sia_tui.engine.tasks import open_task, verifier_of
from sia_tui.harness import container
from sia_tui.harness.agent import require
from sia_tui.harness.sandbox import choose, probe
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore


@asynccontextmanager
async def open_session(
    workspace: Workspace,
    paths: RunPaths,
    config: RunConfig,
    store: RunStore,
    report: Reporter,
    interrupted: Callable[[], bool],
) -> AsyncIterator[Session]:
    """Raises TaskError, SandboxUnavailable, VerifierFailed, EngineError."""
    report.phase("reading the task")
    task = await stoppable(partial(open_task, workspace, config, report.say))
    level = choose(config.harness.isolation, probe())
    walls = config.engine.walls
    if level == "container":
        await asyncio.to_thread(container.require, walls.container)
    if config.harness.agent is not None:
        require(config.harness.agent, level)
    async with AsyncExitStack() as stack:
        verifier = verifier_of(task, paths.root / "verifier", level, walls)
        require_same_task(store.state, task, verifier)
        await stack.enter_async_context(verifier)
        yield Session(workspace, paths, config, store, report, task, verifier, level, interrupted, stack)
