"""One of several servers: where it is, how it stands, asking it for as long as it is in, and whose word is most others'."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from sia_tui.core.replicas import ReplicaStatus
from sia_tui.policy.outside import Lost
from sia_tui.policy.rows import BackendError
from sia_tui.policy.vllm import VLLM, furthest
from sia_tui.policy.wire import Door, Settings

GIVE_UP_S = 5.0

T = TypeVar("T")
Leaves = Literal["behind", "out"]


Proof = Sequence[float]
"""Logprobs of the greedy probe."""


class Deviates(Lost):
    """It says what the others do not."""


class Gone(Exception):
    """It was taken out before it answered."""


def new_future() -> asyncio.Future[Leaves]:
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False)
class Replica:
    """`behind`: it is well and catches up with what the others serve. `out`: it is opened again."""

    number: int
    settings: Settings
    door: Door | None = None
    standing: ReplicaStatus = "starting"
    server: VLLM | None = None
    """While it is in."""
    rows: int = 0
    """That it is to answer now."""
    gone: asyncio.Future[Leaves] = field(default_factory=new_future)
    """Done once it is taken out; another one each time it comes in."""
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    """Its door is another one."""
    deviations: list[str] = field(default_factory=list)
    """Of its last openings, one after the other."""

    @property
    def where(self) -> str:
        """`node b`, `GPU 2, 3`, or nothing where there is one place."""
        if self.door is not None:
            return self.door.where or self.door.url
        return f"GPU {', '.join(map(str, self.settings.gpus))}" if self.settings.gpus else ""

    @property
    def told(self) -> dict[str, Any]:
        """For `/health`."""
        server = self.server
        return {
            "number": self.number,
            "where": self.where,
            "standing": self.standing,
            "rows": self.rows,
            "adapters": list(server.adapters) if server else [],
            "tokens_per_second": server.load()["tokens_per_second"] if server else 0.0,
        }

    async def ask(self, doing: Coroutine[Any, Any, T]) -> T:
        """What it answers. Raises Gone, and what `doing` raises."""
        task = asyncio.ensure_future(doing)
        either: set[asyncio.Future[Any]] = {task, self.gone}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Gone
            return task.result()
        finally:
            task.cancel()


async def give_up(door: Door, why: str) -> None:
    """Has the server behind it end, if it can be reached: whoever holds it starts another."""
    import aiohttp

    headers, timeout = {"Authorization": f"Bearer {door.token}"}, aiohttp.ClientTimeout(total=GIVE_UP_S)
    with suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout) as http,
            http.post(f"{door.url}/end", json={"why": why}),
        ):
            pass


def replicas_of(settings: Settings) -> Iterator[Replica]:
    """One a door; else those to be started, each on as many GPUs as it is split over, in a folder of its own."""
    if settings.doors:
        yield from (Replica(number, settings, door) for number, door in enumerate(settings.doors))
        return
    each = settings.vllm.tensor_parallel or 1
    for number in range(settings.replicas):
        folder = f"{settings.sockets}/replica-{number}"
        gpus = settings.gpus[number * each : (number + 1) * each]
        yield Replica(number, settings.model_copy(update={"sockets": folder, "gpus": gpus}))


async def gone(replica: Replica) -> Leaves:
    return await asyncio.shield(replica.gone)


async def either(watch: asyncio.Task[None], doing: Coroutine[Any, Any, Any]) -> Any:
    """What `doing` comes to, unless the watch raises first."""
    task = asyncio.create_task(doing)
    try:
        await asyncio.wait({watch, task}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            watch.result()
        return await task
    finally:
        task.cancel()


def succeeded(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def refused(task: asyncio.Task[Any]) -> BackendError | None:
    """What the server said, where it refused."""
    fault = task.exception() if task.done() and not task.cancelled() else None
    return fault if isinstance(fault, BackendError) else None


def most_agreed(proofs: Mapping[Replica, Proof], tolerance: float) -> Replica:
    """Whose proof most others agree with; of several the one of the lowest number."""

    def agreeing(one: Replica) -> int:
        return sum(furthest(proofs[one], other) <= tolerance for other in proofs.values())

    return max(proofs, key=lambda one: (agreeing(one), -one.number))
