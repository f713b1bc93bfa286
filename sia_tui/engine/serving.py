"""The gateway and the servers behind it: how they do, as the newest reading, and what happens to them, as events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sia_tui.config import RunConfig
from sia_tui.core import events as ev
from sia_tui.core.replicas import Serving
from sia_tui.core.text import one_line
from sia_tui.policy.client import Gateway, GatewayDied, GatewayError
from sia_tui.policy.wire import Door
from sia_tui.store.workspace import RunPaths

EVERY_S = 1.0
MAX_BODY_BYTES = 256 * 1024
"""Of one request of the harness; reading a prompt of megabytes would hold up every other lane."""


Keep = Callable[[Gateway], Coroutine[Any, Any, None]]


class Watch:
    """Of one gateway. `newest` is empty where one server answers."""

    def __init__(self, gateway: Gateway, record: Callable[[ev.Event], None]) -> None:
        self._gateway, self._record = gateway, record
        self._seen = 0
        self.newest: tuple[Serving, ...] = ()

    async def look(self) -> None:
        """Raises GatewayDied, GatewayError."""
        health = await self._gateway.health()
        new = not self.newest
        self.newest = tuple(serving(one) for one in health.get("replicas", ()))
        if new and self.newest:
            self._record(ev.ReplicasServe(tuple(one.where for one in self.newest)))
        for happened in health.get("happened", ()):
            if happened["count"] > self._seen:
                self._seen = happened["count"]
                self._record(event_of(happened))

    async def run(self) -> None:
        """Nothing for long where one server answers. A gateway that died is noticed by whoever asks it something."""
        looked = False
        while self.newest or not looked:
            with suppress(GatewayDied, GatewayError):
                await self.look()
                looked = True
            await asyncio.sleep(EVERY_S)


def serving(told: Mapping[str, Any]) -> Serving:
    return Serving(
        number=told["number"],
        where=told["where"],
        standing=told["standing"],
        requests=told["rows"],
        adapter=told["adapters"][-1] if told["adapters"] else None,
        tokens_per_second=told["tokens_per_second"],
    )


def event_of(happened: Mapping[str, Any]) -> ev.ReplicaOut | ev.ReplicaBack:
    about = (happened["replica"], happened["where"])
    if happened["back"]:
        return ev.ReplicaBack(*about, happened["left"])
    return ev.ReplicaOut(*about, happened["why"], happened["rows"], happened["left"])


@dataclass(frozen=True)
class Policy:
    gateway: Gateway
    watch: Watch


@asynccontextmanager
async def served(
    config: RunConfig,
    paths: RunPaths,
    model: Path,
    settings: Mapping[str, Any],
    record: Callable[[ev.Event], None],
    say: Callable[[str], None],
) -> AsyncIterator[Policy]:
    """A policy that answers, until the context is left. Raises GatewayDied, ClusterError."""
    asked = {**settings, "threads": config.policy.threads, "max_batch": config.policy.max_batch}
    lanes, ready_s = config.harness.lanes, config.policy.ready_s
    async with held(config, model, asked, say) as (doors, keep):
        started = await Gateway.start(
            model,
            paths.root,
            lanes=lanes,
            max_body_bytes=MAX_BODY_BYTES,
            log_file=paths.logs / "gateway.log",
            ready_s=ready_s,
            doors=doors,
            **asked,
        )
        async with started as gateway:
            watch = Watch(gateway, record)
            tasks = [asyncio.create_task(watch.run()), asyncio.create_task(keep(gateway))]
            for task in tasks:
                task.add_done_callback(partial(_tell, say))
            try:
                yield Policy(gateway, watch)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def held(
    config: RunConfig, model: Path, settings: Mapping[str, Any], say: Callable[[str], None]
) -> AsyncIterator[tuple[tuple[Door, ...], Keep]]:
    """The servers that actors hold, and what looks after them; none where the gateway starts its own. Raises ClusterError."""
    cluster = config.cluster
    if cluster.serve == "here":
        yield (), nothing
        return
    from sia_tui.cluster.serving import Servers

    server = {**settings, "model_dir": str(model.resolve()), "lanes": 1}
    servers = Servers(cluster.replicas, server, config.tensor_parallel if config.policy.device == "cuda" else 0, say)

    async def keep(gateway: Gateway) -> None:
        async def moved(number: int, door: Door, why: str) -> None:
            with suppress(GatewayDied, GatewayError):
                await gateway.move(number, door, why)

        await servers.keep(moved)

    try:
        yield await servers.start(cluster.join_s), keep
    finally:
        await servers.stop()


def _tell(say: Callable[[str], None], task: asyncio.Task[None]) -> None:
    """Nobody waits for these before all is over."""
    if not task.cancelled() and (fault := task.exception()) is not None:
        say(f"the policy's servers are not looked after any more: {one_line(f'{type(fault).__name__}: {fault}', 300)}")


async def nothing(gateway: Gateway) -> None:
    """Of the gateway's own servers it is the gateway that looks after."""
