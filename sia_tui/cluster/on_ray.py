"""The executor on a Ray cluster: Ray places and watches a process on each node; episodes go over streams of our own."""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ray.exceptions import RayError

from sia_tui.cluster.contents import packed
from sia_tui.cluster.executor import Door
from sia_tui.cluster.far import FarChild, Node, asked
from sia_tui.cluster.joining import Joined
from sia_tui.cluster.nodes import Nodes
from sia_tui.cluster.orders import Order
from sia_tui.cluster.settings import ClusterSettings
from sia_tui.cluster.streams import Pair, Relay, splice
from sia_tui.core.event import Event
from sia_tui.core.nodes import EpisodesReissued
from sia_tui.core.text import last_line
from sia_tui.harness.agent import Agent
from sia_tui.harness.interpreter import inspect
from sia_tui.harness.launch import Child, Setup
from sia_tui.harness.sandbox import Wanted
from sia_tui.harness.workers import WorkerDied, WorkerLost

START_S = 60.0
BRING_S = 600.0
"""How long an environment of some hundred megabytes may take to a node."""
KEPT = 64
"""Contents that are held ready for nodes."""

Record = Callable[[Event], None]


class OnRay:
    def __init__(self, joined: Joined, settings: ClusterSettings, nodes: Nodes, relay: Relay, record: Record) -> None:
        self.address: str | None = joined.address
        self.reissue = settings.reissue
        self._joined, self._nodes, self._relay, self._record = joined, nodes, relay, record
        self._numbers = itertools.count(1)
        self._names: dict[Path, str] = {}
        """Of folders: what is in one never changes."""
        self._held: OrderedDict[str, Any] = OrderedDict()
        self._packing = asyncio.Lock()
        self.openings = 0

    def abreast(self, views: int) -> int:
        return max(1, sum(node.slots for node in self._nodes.working))

    def room(self) -> bool:
        return any(node.busy < node.slots for node in self._nodes.working)

    async def know(self, folder: Path) -> None:
        await self._content(folder)

    async def start(self, setup: Setup, lanes: Sequence[Door]) -> Child:
        node = await self._nodes.least_busy()
        node.busy += 1
        try:
            return await self._started(node, setup, lanes)
        except BaseException as error:
            node.busy -= 1
            if isinstance(error, RayError | TimeoutError):
                why = "it took too long" if isinstance(error, TimeoutError) else last_line(error)
                self._nodes.lose(node, f"a worker could not be started there: {why}")
                raise WorkerLost(f"node {node.name}: {node.lost}") from error
            raise

    def busy(self) -> Mapping[str, int]:
        return {node.name: node.busy for node in self._nodes.working}

    def reissued(self, node: str, count: int, why: Literal["lost", "late"]) -> None:
        self._record(EpisodesReissued(node, count, why))

    async def look(self) -> None:
        await asyncio.gather(*(self._look_at(node) for node in self._nodes.working))

    async def _look_at(self, node: Node) -> None:
        with suppress(RayError, TimeoutError):
            self._heard(node, await asked(node.station.opened.remote()))

    def _heard(self, node: Node, openings: int) -> None:
        self.openings += max(0, openings - node.openings)
        node.openings = max(openings, node.openings)

    async def _started(self, node: Node, setup: Setup, lanes: Sequence[Door]) -> Child:
        """Raises RayError, TimeoutError."""
        packages = (await asyncio.to_thread(inspect, setup.python)).site_packages
        named = {one: await self._brought(node, one) for one in (setup.harness, setup.rows, setup.tools)}
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        meetings: list[asyncio.Future[Pair]] = [loop.create_future() for _ in range(1 + len(lanes))]
        served = (partial(_serve, met, over, door) for met, door in zip(meetings[1:], lanes, strict=True))
        takers = [partial(_lead, meetings[0], over), *served]
        tokens = [self._relay.expect(taker) for taker in takers]
        order = Order(
            number=next(self._numbers),
            harness=named[setup.harness],
            rows=named[setup.rows],
            tools=named[setup.tools],
            packages=await self._brought(node, packages) if packages else None,
            limits=setup.limits,
            agent=setup.agent,
            walls=setup.walls,
            address=self._relay.address,
            control=tokens[0],
            lanes=tuple(tokens[1:]),
        )
        try:
            fault = await asked(node.station.start.remote(order), START_S)
            if fault:
                raise WorkerDied(fault)
            # A token that is forgotten before its connection was read would close the lane of a sound worker.
            control, *_ = await asyncio.wait_for(asyncio.gather(*meetings), START_S)
        except BaseException:
            over.set()
            raise
        finally:
            for token in tokens:
                self._relay.forget(token)
        return FarChild(order.number, node, control, partial(self._left, node, over))

    def _left(self, node: Node, over: asyncio.Event, openings: int) -> None:
        over.set()
        node.busy -= 1
        self._heard(node, openings)

    async def _brought(self, node: Node, folder: Path) -> str:
        """The name under which the node has it."""
        name, held = await self._content(folder)
        async with node.bringing:
            if await asked(node.station.missing.remote([name])):
                await asked(node.station.take.remote(name, held), BRING_S)
        return name

    async def _content(self, folder: Path) -> tuple[str, Any]:
        """Its name, and what is in it as Ray holds it."""
        async with self._packing:
            name = self._names.get(folder, "")
            if name not in self._held:
                name, archive = await asyncio.to_thread(packed, folder)
                self._names[folder] = name
                self._held[name] = await self._joined.hold(archive)
            self._held.move_to_end(name)
            while len(self._held) > KEPT:
                self._held.popitem(last=False)
            return name, self._held[name]


async def _lead(meeting: asyncio.Future[Pair], over: asyncio.Event, pair: Pair) -> None:
    if not meeting.done():
        meeting.set_result(pair)
        await over.wait()


async def _serve(meeting: asyncio.Future[Pair], over: asyncio.Event, door: Door, pair: Pair) -> None:
    """A lane, until its worker is gone: what is late on the way must not reach the lane's next episode."""
    if meeting.done():
        return
    meeting.set_result(pair)
    near = await asyncio.open_connection(sock=door())
    ways = {asyncio.create_task(splice(near, pair)), asyncio.create_task(over.wait())}
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Once the worker is gone, what is still on the way is not to arrive.
        for _, writer in (near, pair):
            writer.transport.abort() if over.is_set() else writer.close()
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


@asynccontextmanager
async def on_ray(
    joined: Joined, settings: ClusterSettings, wanted: Wanted, agent: Agent | None, record: Record
) -> AsyncIterator[OnRay]:
    """Raises ClusterError."""
    relay = await Relay.open(joined.host)
    nodes = Nodes(joined, settings, wanted, agent, record)
    try:
        await nodes.begin()
        yield OnRay(joined, settings, nodes, relay, record)
    finally:
        await nodes.end()
        await relay.close()
