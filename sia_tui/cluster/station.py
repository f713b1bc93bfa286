"""A node's end: confined workers are started here, and their streams carried to the engine. A Ray actor, one on each node.

Nothing of a run stays here but contents by name. When the engine or its connection ends, so do its workers.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sia_tui.cluster.contents import Shelf
from sia_tui.cluster.orders import Ending, Facts, Order, code
from sia_tui.cluster.streams import End, Pair, reach, splice
from sia_tui.harness.agent import Agent, require
from sia_tui.harness.environment import base_interpreter
from sia_tui.harness.launch import LocalChild, Setup, spawn
from sia_tui.harness.opened import KEY, Opened
from sia_tui.harness.sandbox import Isolation, SandboxUnavailable, Wanted, choose, probe


class Shift:
    """One worker with its streams."""

    def __init__(
        self, child: LocalChild, control: Pair, lanes: list[tuple[Pair, Pair]], severed: Callable[[], None]
    ) -> None:
        """The engine's end of its control stream, and both ends of its lanes. `severed`: told when the engine has left it, and
        maybe nobody closes it."""
        self._child, self._control, self._broken, self._severed = child, control, False, severed
        self._closing: asyncio.Task[None] | None = None
        self._tasks = [asyncio.create_task(self._led()), *(asyncio.create_task(self._served(*ends)) for ends in lanes)]

    async def _led(self) -> None:
        """Without the engine it is of no use. Where it is over itself, the engine asks how."""
        if await splice((self._child.reader, self._child.writer), self._control) == "near":
            self._control[1].close()
        else:
            self._sever()

    async def _served(self, near: Pair, far: Pair) -> None:
        """A lane that the gateway or the worker itself closes is their affair; one that breaks is not the worker's doing."""
        end: End = "broken"
        try:
            end = await splice(near, far)
        finally:
            if end == "broken":
                self._sever()
            for _, writer in (near, far):
                writer.close()

    def _sever(self) -> None:
        """Before the worker sees that it is alone: what it would make of that must not be heard."""
        self._broken = True
        self._control[1].transport.abort()
        self._child.kill()
        self._severed()

    async def ending(self) -> Ending:
        return Ending(await self._child.ending(), self._broken)

    async def close(self) -> None:
        """Once, however many ask."""
        self._closing = self._closing or asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await self._child.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Station:
    def __init__(self, root: str | None = None) -> None:
        self._shelf = Shelf(Path(root) if root else None)
        self._shelf.tidy()
        self._own = self._shelf.own("station-")
        self._level: Isolation = "none"
        self._shifts: dict[int, Shift] = {}
        self._closing: set[asyncio.Task[int]] = set()
        self._opened, self._openings = Opened(), 0
        self._looked_at: set[str] = set()

    async def facts(self, wanted: Wanted, agent: Agent | None, python: str, same: str) -> Facts:
        """`python`, `same`: the engine's version and the digest of its code."""
        found, why_not = await asyncio.to_thread(probe), ""
        try:
            self._level = choose(wanted, found)
            if agent is not None:
                require(agent, self._level)
        except SandboxUnavailable as error:
            why_not = str(error)
        if platform.python_version() != python:
            why_not = f"it has Python {platform.python_version()}, the engine {python}: install the same"
        elif code() != same:
            why_not = "it has another version of sia-tui than the engine: install the same"
        return Facts(self._level, why_not)

    async def ping(self) -> None:
        """That it is there."""

    async def missing(self, names: list[str]) -> list[str]:
        return [name for name in names if not self._shelf.has(name)]

    async def take(self, name: str, archive: bytes) -> None:
        await asyncio.to_thread(self._shelf.put, name, archive)

    async def start(self, order: Order) -> str:
        """Why it could not be started, or nothing. Raises OSError."""
        near, theirs = _pairs(len(order.lanes))
        try:
            child = await spawn(await asyncio.to_thread(self._setup, order), "serve", theirs)
        except SandboxUnavailable as error:
            return str(error)
        try:
            control, *far = [await reach(order.address, token) for token in (order.control, *order.lanes)]
            own = [await asyncio.open_connection(sock=one) for one in near]
        except BaseException:
            await child.close()
            raise
        lanes, severed = list(zip(own, far, strict=True)), partial(self._abandon, order.number)
        self._shifts[order.number] = Shift(child, control, lanes, severed)
        return ""

    def _abandon(self, number: int) -> None:
        task = asyncio.create_task(self.close(number))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def ending(self, number: int) -> Ending:
        shift = self._shifts.get(number)
        return await shift.ending() if shift is not None else Ending("it was closed", True)

    async def close(self, number: int) -> int:
        """As `opened`."""
        shift = self._shifts.get(number)
        if shift is not None:
            await shift.close()
            self._shifts.pop(number, None)
        return await self.opened()

    async def opened(self) -> int:
        """How often a planted key was opened on this node: once for all that was since this was last asked."""
        if self._opened.seen():
            self._openings += 1
            self._opened.close()
            self._opened = Opened()
            for rows in self._looked_at:
                self._opened.look_at(self._shelf.folder(rows) / KEY)
        return self._openings

    def _setup(self, order: Order) -> Setup:
        rows = self._shelf.used(order.rows)
        if order.rows not in self._looked_at:
            self._looked_at.add(order.rows)
            self._opened.look_at(rows / KEY)
        return Setup(
            level=self._level,
            python=self._python(order.packages),
            harness=self._shelf.used(order.harness),
            rows=rows,
            tools=self._shelf.used(order.tools),
            log=self._own / "harness.log",
            limits=order.limits,
            agent=order.agent,
            walls=order.walls,
        )

    def _python(self, packages: str | None) -> Path:
        """A virtual environment around the packages, of this node's own interpreter."""
        base = base_interpreter()
        if packages is None:
            return base
        folder = self._shelf.root / f"python-{packages}"
        version = ".".join(platform.python_version_tuple()[:2])
        if not folder.exists():
            part = self._shelf.begun("part-")
            (part / "bin").mkdir()
            (part / "bin" / "python").symlink_to(base)
            (part / "pyvenv.cfg").touch()
            (part / "lib" / f"python{version}").mkdir(parents=True)
            (part / "lib" / f"python{version}" / "site-packages").symlink_to(self._shelf.used(packages))
            try:
                part.rename(folder)
            except OSError:
                shutil.rmtree(part)
        self._shelf.used(packages)
        os.utime(folder)
        return folder / "bin" / "python"


def _pairs(count: int) -> tuple[list[socket.socket], list[socket.socket]]:
    pairs = [socket.socketpair() for _ in range(count)]
    return [near for near, _ in pairs], [theirs for _, theirs in pairs]
