"""The executor that a config asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sia_tui.cluster.executor import Executor, Local
from sia_tui.cluster.settings import ClusterSettings
from sia_tui.core.event import Event
from sia_tui.harness.agent import Agent
from sia_tui.harness.sandbox import Wanted


@asynccontextmanager
async def executor(
    settings: ClusterSettings,
    wanted: Wanted,
    agent: Agent | None,
    folder: Path,
    record: Callable[[Event], None],
    gpus: str | None = None,
) -> AsyncIterator[Executor]:
    """`folder`: of the run, for what belongs to a cluster of its own, which may give these `gpus`. Raises ClusterError."""
    if settings.executor == "local":
        yield Local()
        return
    from sia_tui.cluster.joining import joined

    async with joined(settings, folder, gpus) as cluster:
        from sia_tui.cluster.on_ray import on_ray

        async with on_ray(cluster, settings, wanted, agent, record) as made:
            yield made
