"""Several vLLM servers as one backend: the least busy is asked, an adapter is published to all and served once they agree.

A server that fails, hangs, is late with an adapter or answers otherwise than the others is taken out, and what it left
unanswered is asked of them. It comes back when it has every adapter and says what they say. With none left the gateway is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sia_tui.policy import sockets, vllm
from sia_tui.policy.adapters import adapter_hash
from sia_tui.policy.outside import Asked, Lost
from sia_tui.policy.replica import (
    Deviates,
    Gone,
    Leaves,
    Proof,
    Replica,
    either,
    give_up,
    gone,
    most_agreed,
    refused,
    replicas_of,
    succeeded,
)
from sia_tui.policy.rows import TOLERANCE, BackendError, Completion, Row
from sia_tui.policy.vllm import VLLM, Base, furthest, together
from sia_tui.policy.wire import Door, Settings

log = logging.getLogger("sia.gateway")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
"""Before a server that was lost is opened again: twice as long each time, until it has stayed in for the longest."""
KEPT = 200
"""Happenings that are remembered for whoever asks."""

MOST_DEVIATIONS = 3
"""Openings in a row of a server that says what the others do not; after that it would only say so again."""


@dataclass(frozen=True)
class Published:
    sha256: str
    path: str
    proof: Proof


class Replicas(Asked):
    """Made by `opened`."""

    def __init__(self, settings: Settings, base: Base) -> None:
        super().__init__(settings.max_queue)
        self.model_id, self.text, self.vocabulary = settings.name, base.text, base.vocabulary
        self._settings, self._base = settings, base
        self._tolerance = TOLERANCE[settings.dtype]
        self._all = list(replicas_of(settings))
        self._published: dict[str, Published] = {}
        self._base_proof: Proof | None = None
        self._first_proofs: dict[Replica, Proof] = {}
        """Of the base, by those that come up before it is known who is right."""
        self._changing = asyncio.Lock()
        """Of what is published, and of whether it sleeps."""
        self._asleep = False
        self._changed = asyncio.Condition()
        self._happened: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._count = self._reissued = 0
        self._keepers = [asyncio.create_task(self._keep(replica)) for replica in self._all]

    @property
    def context(self) -> int:
        return min((one.server.context for one in self._in if one.server), default=self._base.context)

    @property
    def adapters(self) -> Mapping[str, str]:
        return {name: adapter.sha256 for name, adapter in self._published.items()}

    @property
    def _in(self) -> list[Replica]:
        return [replica for replica in self._all if replica.standing == "in"]

    async def ready(self) -> None:
        """One server is in, and so is every other that came up at most `lag_s` later, or it has failed. Whoever takes longer
        comes in when it is there. Raises Lost when none is in."""
        running = asyncio.create_task(self.run())
        await either(running, self._until(lambda: bool(self._in) and not self._come_up()))
        running.cancel()

    def _come_up(self) -> list[Replica]:
        """Those that have said what the base says, and wait until others have."""
        return [one for one in self._first_proofs if one.standing == "starting"]

    async def close(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    async def run(self) -> None:
        done, _ = await asyncio.wait({self._lost, *self._keepers}, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()

    def load(self) -> dict[str, Any]:
        caches = together(one.server.load() for one in self._in if one.server)
        return (
            super().load()
            | caches
            | {
                "replicas": [replica.told for replica in self._all],
                "reissued": self._reissued,
                "happened": list(self._happened),
            }
        )

    async def load_adapter(self, name: str, path: str) -> str:
        try:
            digest = await asyncio.to_thread(adapter_hash, Path(path))
        except OSError as error:
            raise BackendError(str(error)) from error
        while True:
            await self._until(lambda: bool(self._in))
            async with self._changing:
                if (known := self._published.get(name)) is not None:
                    if known.sha256 != digest:
                        raise BackendError(
                            f"adapter {name!r} is loaded with other content; publish it under a new name"
                        )
                    return digest
                asked = await self._everywhere(lambda server: self._publish(server, name, path), self._settings.lag_s)
                await self._agree(asked, name, digest, path)

    async def unload_adapter(self, name: str) -> None:
        async with self._changing:
            if self._published.pop(name, None) is None:
                raise BackendError(f"adapter {name!r} is not loaded")
            asked = await self._everywhere(lambda server: server.unload_adapter(name), self._settings.lag_s)
            for replica, task in asked.items():
                await self._require(replica, task, f"does not unload {name}")

    async def sleep(self) -> None:
        async with self._changing:
            asked = await self._everywhere(lambda server: server.sleep())
            refusal = next((fault for task in asked.values() if (fault := refused(task))), None)
            if refusal is not None:
                await self._everywhere(lambda server: server.wake())
                raise refusal
            self._asleep = True

    async def wake(self) -> None:
        async with self._changing:
            asked = await self._everywhere(lambda server: server.wake())
            for replica, task in asked.items():
                await self._require(replica, task, "does not wake")
            self._asleep = False
        async with self._changed:
            self._changed.notify_all()

    async def move(self, number: int, door: Door, why: str) -> None:
        """The server of that number was lost; another one is behind that door. Raises BackendError for no such number."""
        if not 0 <= number < len(self._all):
            raise BackendError(f"there are replicas 0 to {len(self._all) - 1}")
        replica = self._all[number]
        await self._take_out(replica, why)
        replica.door = door
        replica.moved.set()

    async def _one(self, row: Row) -> Completion:
        while True:
            replica = await self._least_busy()
            assert replica.server is not None
            replica.rows += 1
            try:
                return (await replica.ask(replica.server.complete([row])))[0]
            except Gone:
                self._reissued += 1
            finally:
                replica.rows -= 1

    async def _least_busy(self) -> Replica:
        await self._until(lambda: bool(self._in))
        return min(self._in, key=lambda replica: replica.rows)

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Of how the replicas stand. With none left it is never true, but then the gateway ends."""
        async with self._changed:
            await self._changed.wait_for(condition)

    async def _everywhere(
        self, doing: Callable[[VLLM], Coroutine[Any, Any, Any]], lag_s: float | None = None
    ) -> dict[Replica, asyncio.Task[Any]]:
        """Of every server that is in. Those that are not done `lag_s` after the first one was are left undone."""
        asked = {one: asyncio.create_task(one.ask(doing(one.server))) for one in self._in if one.server is not None}
        pending = set(asked.values())
        while pending and not any(succeeded(task) for task in asked.values()):
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if pending:
            await asyncio.wait(pending, timeout=lag_s)
        return asked

    async def _publish(self, server: VLLM, name: str, path: str) -> Proof:
        """What it then says. Raises BackendError where the base is not what it was: of two that disagree, one could not tell."""
        await server.load_adapter(name, path)
        assert self._base_proof is not None
        if (gap := furthest(self._base_proof, await server.probe(None))) > self._tolerance:
            raise BackendError(f"the base answers otherwise than it did ({gap:.3f} nats)")
        return await server.probe(name)

    async def _agree(self, asked: Mapping[Replica, asyncio.Task[Proof]], name: str, sha256: str, path: str) -> None:
        """Whoever has it and says what most say serves it; the others are taken out. Raises BackendError when all refuse.
        Nobody serves it where all were lost meanwhile."""
        proofs = {replica: task.result() for replica, task in asked.items() if succeeded(task)}
        if not proofs:
            if refusal := next((fault for task in asked.values() if (fault := refused(task))), None):
                raise refusal
            return
        truth = proofs[most_agreed(proofs, self._tolerance)]
        self._published[name] = Published(sha256, path, truth)
        for replica, task in asked.items():
            await self._require(replica, task, f"does not have adapter {name}")
            if replica in proofs and (gap := furthest(truth, proofs[replica])) > self._tolerance:
                await self._take_out(replica, f"answers otherwise than the others with adapter {name} ({gap:.3f} nats)")

    async def _require(self, replica: Replica, task: asyncio.Task[Any], fault: str) -> None:
        """Taken out is who was late or refused."""
        if not task.done():
            await self._take_out(replica, f"{fault} {self._settings.lag_s:g} s after the others", "behind")
            task.cancel()
        elif (refusal := refused(task)) is not None:
            await self._take_out(replica, f"{fault}: {refusal}")

    async def _keep(self, replica: Replica) -> None:
        """Opens it, and opens it again whenever it is lost; one that moved at once, where it is now."""
        opening, pause_s, loop = 0, FIRST_PAUSE_S, asyncio.get_running_loop()
        while True:
            # What it would be loaded on is somebody else's while the policy sleeps.
            await self._until(lambda: not self._asleep)
            began = loop.time()
            replica.moved.clear()
            life, moved = asyncio.create_task(self._live(replica, opening)), asyncio.create_task(replica.moved.wait())
            try:
                await asyncio.wait({life, moved}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                moved.cancel()
                life.cancel()
                await asyncio.wait({life})
            if not life.cancelled():
                life.result()
            opening += 1
            if len(replica.deviations) >= MOST_DEVIATIONS:
                await self._leave_out(replica)
            pause_s = FIRST_PAUSE_S if loop.time() - began > LONGEST_PAUSE_S else min(2 * pause_s, LONGEST_PAUSE_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await replica.moved.wait()

    async def _leave_out(self, replica: Replica) -> None:
        """Until it is somewhere else."""
        self._tell(replica, False, f"{replica.deviations[-1]}, {MOST_DEVIATIONS} times in a row: it stays out", 0)
        await replica.moved.wait()
        replica.deviations.clear()

    async def _live(self, replica: Replica, opening: int) -> None:
        """Until it is lost. Whoever holds it is told: one that hangs does not end by itself."""
        door = replica.door
        if door is None:
            folder = Path(replica.settings.sockets)
            folder.mkdir(mode=0o700, exist_ok=True)
            sockets.remove_sockets(folder)
        try:
            async with vllm.opened(replica.settings, self._base, door, opening) as server:
                await self._serve(replica, server)
        except (Lost, OSError, BackendError) as error:
            if isinstance(error, Deviates):
                replica.deviations.append(str(error))
            await self._take_out(replica, str(error))
            if door is not None and len(replica.deviations) < MOST_DEVIATIONS:
                await give_up(door, str(error))

    async def _serve(self, replica: Replica, server: VLLM) -> None:
        """In whenever it has caught up. Raises Lost, when it is to be opened again."""
        watch = asyncio.create_task(server.run())
        try:
            while True:
                await either(watch, self._catch_up(replica, server))
                if await either(watch, gone(replica)) == "out":
                    return
        finally:
            watch.cancel()

    async def _catch_up(self, replica: Replica, server: VLLM) -> None:
        """In, with all that is published and nothing else. Raises Deviates for one that does not say what the others say."""
        while True:
            wanted = dict(self._published)
            try:
                for name in set(server.adapters) - set(wanted):
                    await server.unload_adapter(name)
                for name, adapter in wanted.items():
                    await server.load_adapter(name, adapter.path)
                proofs = {name: await server.probe(name) for name in (None, *wanted)}
            except BackendError as error:
                raise Lost(str(error)) from error
            await self._agree_on_base(replica, proofs[None])
            async with self._changing:
                if wanted == self._published:
                    self._compare(proofs)
                    if self._asleep:
                        await server.sleep()
                    await self._let_in(replica, server)
                    return

    async def _agree_on_base(self, replica: Replica, proof: Proof) -> None:
        """What most of those say that come up within `lag_s` of the first is the truth for all: of the first alone nobody could
        tell whether it is well."""
        if self._base_proof is not None:
            return
        self._first_proofs[replica] = proof
        async with self._changed:
            self._changed.notify_all()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.lag_s):
                await self._until(lambda: self._base_proof is not None or not self._awaited())
        if self._base_proof is None:
            said = {one: self._first_proofs[one] for one in (replica, *self._come_up())}
            self._base_proof = said[most_agreed(said, self._tolerance)]
        async with self._changed:
            self._changed.notify_all()

    def _awaited(self) -> list[Replica]:
        return [one for one in self._all if one.standing == "starting" and one not in self._first_proofs]

    def _compare(self, proofs: Mapping[str | None, Proof]) -> None:
        assert self._base_proof is not None
        truth: dict[str | None, Proof] = {None: self._base_proof} | {
            name: adapter.proof for name, adapter in self._published.items()
        }
        for name, proof in proofs.items():
            if (gap := furthest(truth[name], proof)) > self._tolerance:
                what = "the base" if name is None else f"adapter {name}"
                raise Deviates(f"answers otherwise than the others with {what} ({gap:.3f} nats)")

    async def _let_in(self, replica: Replica, server: VLLM) -> None:
        new = replica.standing == "starting"
        replica.deviations.clear()
        replica.standing, replica.server, replica.gone = "in", server, asyncio.get_running_loop().create_future()
        if not new:
            self._tell(replica, True, "", 0)
        async with self._changed:
            self._changed.notify_all()

    async def _take_out(self, replica: Replica, why: str, leaves: Leaves = "out") -> None:
        """Nothing for one that is out already."""
        if replica.standing == "out":
            return
        before, replica.standing, replica.server = replica.standing, leaves, None
        if before == "in":
            replica.gone.set_result(leaves)
        if before in ("in", "starting"):
            self._tell(replica, False, why, replica.rows)
        hopeful = [one for one in self._all if one.standing != "out"]
        if not hopeful and not self._lost.done():
            self._lost.set_exception(Lost(why if len(self._all) == 1 else f"no replica is left, the last: {why}"))
        async with self._changed:
            self._changed.notify_all()

    def _tell(self, replica: Replica, back: bool, why: str, rows: int) -> None:
        self._count += 1
        about = {"count": self._count, "replica": replica.number, "where": replica.where}
        self._happened.append(about | {"back": back, "why": why, "rows": rows, "left": len(self._in)})
        log.info("replica %d %s", replica.number, "is back" if back else f"is out, {rows} requests go on: {why}")


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Replicas]:
    """At least one server is ready. Raises Lost."""
    backend = Replicas(settings, await asyncio.to_thread(vllm.read_base, settings))
    try:
        await backend.ready()
        yield backend
    finally:
        await backend.close()
