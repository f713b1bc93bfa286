"""Which nodes of a Ray cluster take part: found, looked at, heard from, and lost."""

from __future__ import annotations

import asyncio
import platform
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sia_tui.cluster.executor import ClusterError
from sia_tui.cluster.far import Node, asked
from sia_tui.cluster.joining import Joined
from sia_tui.cluster.orders import Facts, code
from sia_tui.cluster.settings import ClusterSettings
from sia_tui.cluster.station import Station
from sia_tui.core.event import Event
from sia_tui.core.nodes import NodeJoined, NodeLost, NodeRefused
from sia_tui.core.text import last_line, one_line
from sia_tui.harness.agent import Agent
from sia_tui.harness.sandbox import Wanted

LOOK_S = 1.0
"""How often the cluster is looked at, and each node asked whether it is there."""
PING_S = 10.0
BEGIN_S = 60.0
"""A node's first answer: its process starts and tries the sandbox."""
AGAIN_S = 30.0
"""A machine that died is known to Ray as alive for somewhat longer."""
MOST_LOSSES = 5
"""A node that is lost more often is not taken again."""


class Nodes:
    def __init__(
        self,
        joined: Joined,
        settings: ClusterSettings,
        wanted: Wanted,
        agent: Agent | None,
        record: Callable[[Event], None],
    ) -> None:
        self._joined, self._settings, self._wanted, self._agent = joined, settings, wanted, agent
        self._record = record
        self._known: dict[str, Node | None] = {}
        """By Ray's id; None: being looked at, or refused."""
        self._names: dict[str, str] = {}
        self._refused: set[str] = set()
        self._losses: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    @property
    def working(self) -> list[Node]:
        return [node for node in self._known.values() if node is not None and not node.lost]

    async def begin(self) -> None:
        """Looks at every node that is there. Raises ClusterError where none can be used and none comes in time."""
        await asyncio.gather(*(self._admit(info) for info in await self._new()))
        self._go(self._watch())
        await self.least_busy()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def least_busy(self) -> Node:
        """Raises ClusterError where there is none for `join_s`."""
        try:
            async with asyncio.timeout(self._settings.join_s):
                while not self.working:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise ClusterError(
                f"no node of the cluster can be used, and none joined within {self._settings.join_s:g} s "
                "(cluster.join_s): look at `ray status` and at the log's lines on nodes"
            ) from None
        return min(self.working, key=lambda node: (node.busy / node.slots, node.name))

    def lose(self, node: Node, why: str) -> None:
        if node.lost:
            return
        node.lose(why)
        self._losses[node.name] += 1
        self._record(NodeLost(node.name, one_line(why, 200)))
        self._known[node.id] = None
        if self._losses[node.name] < MOST_LOSSES:
            self._names.pop(node.id, None)
            self._go(self._forget(node.id))
        else:
            self._refuse(node.id, node.name, f"it was lost {MOST_LOSSES} times", node.gpus)

    async def _forget(self, node: str) -> None:
        """If Ray still has it then, it is looked at again."""
        await asyncio.sleep(AGAIN_S)
        self._known.pop(node, None)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            for info in await self._new():
                self._go(self._admit(info))

    async def _new(self) -> list[dict[str, Any]]:
        """Nodes not known yet, which are from now on."""
        try:
            found = await self._joined.ask(ray.nodes)
        except (TimeoutError, RayError):
            return []
        for gone in self._refused.difference(info["NodeID"] for info in found if info["Alive"]):
            self._refused.remove(gone)
            self._record(NodeLost(self._names[gone], "it has left the cluster"))
        new = [info for info in found if info["Alive"] and info["NodeID"] not in self._known]
        self._known |= {info["NodeID"]: None for info in new}
        return new

    def _go(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _admit(self, info: dict[str, Any]) -> None:
        node, found = info["NodeID"], info["Resources"]
        name = self._named(info)
        slots, gpus = self._settings.slots or int(found.get("CPU", 0)), int(found.get("GPU", 0))
        try:
            station = self._station(node)
            facts: Facts = await asked(
                station.facts.remote(self._wanted, self._agent, platform.python_version(), code()), BEGIN_S
            )
            why_not = facts.why_not or ("" if slots else "Ray has no CPUs there")
        except TimeoutError:
            return self._refuse(
                node, name, f"no answer within {BEGIN_S:g} s (a cold disk?); it is asked again", gpus, True
            )
        except RayError as error:
            why = f"no worker process can be started there: {last_line(error)}; it is tried again"
            return self._refuse(node, name, why, gpus, True)
        if why_not:
            return self._refuse(node, name, why_not, gpus)
        self._refused.discard(node)
        made = Node(node, name, slots, gpus, facts.level, station)
        self._known[node] = made
        self._record(NodeJoined(name, made.slots, made.gpus, made.level, node == self._joined.node))
        self._changed.set()
        self._go(self._attend(made))

    def _refuse(self, node: str, name: str, why: str, gpus: int, again: bool = False) -> None:
        """Said once, however often it is asked `again`."""
        if not again or node not in self._refused:
            self._refused.add(node)
            self._record(NodeRefused(name, one_line(why, 300), gpus, node == self._joined.node))
        if again:
            self._go(self._forget(node))

    def _station(self, node: str) -> Any:
        there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        made: Any = ray.remote(Station)
        return made.options(num_cpus=0, max_concurrency=10_000, scheduling_strategy=there).remote()

    def _named(self, info: dict[str, Any]) -> str:
        """As its people call it; where two have one name, with the beginning of Ray's id."""
        if info["NodeID"] in self._names:
            return self._names[info["NodeID"]]
        given = info["NodeName"]
        name = one_line(str(given if given != info["NodeManagerAddress"] else info["NodeManagerHostname"]), 40)
        self._names[info["NodeID"]] = name if name not in self._names.values() else f"{name}-{info['NodeID'][:6]}"
        return self._names[info["NodeID"]]

    async def _attend(self, node: Node) -> None:
        """Asks whether it is there until it is not."""
        while not node.lost:
            try:
                await asked(node.station.ping.remote(), PING_S)
            except RayError:
                self.lose(node, "its machine, or the worker process there, is gone")
                return
            except TimeoutError:
                self.lose(node, f"it has not answered for {PING_S:g} s")
                return
            node.heard = time.monotonic()
            await asyncio.sleep(LOOK_S)
