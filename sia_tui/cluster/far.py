"""Harness workers on the nodes of a Ray cluster, as the engine has them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ray.exceptions import RayError

from sia_tui.cluster.orders import Ending
from sia_tui.cluster.streams import Pair
from sia_tui.harness.sandbox import Isolation

ASK_S = 15.0
"""How long a node may take to answer."""
SILENT_S = 5.0
"""A node that has not been heard for so long is not to be judged by what it did not say."""


@dataclass(eq=False)
class Node:
    """One that takes part."""

    id: str
    name: str
    slots: int
    gpus: int
    level: Isolation
    station: Any
    """The actor there."""
    busy: int = 0
    """Workers on it."""
    heard: float = field(default_factory=time.monotonic)
    lost: str = ""
    openings: int = 0
    """Of planted keys there, as far as it has said."""
    bringing: asyncio.Lock = field(default_factory=asyncio.Lock)
    children: set[FarChild] = field(default_factory=set)

    def lose(self, why: str) -> None:
        """It is cut off: one that is only slow must not go on with what others are given to do anew."""
        self.lost = why
        for child in self.children:
            child.kill()

    @property
    def silent(self) -> str:
        """Why it cannot be heard, or nothing."""
        if self.lost:
            return self.lost
        return "it does not answer" if time.monotonic() - self.heard > SILENT_S else ""


async def asked(answer: Awaitable[Any], deadline_s: float = ASK_S) -> Any:
    """What a station says. Raises RayError, TimeoutError."""
    async with asyncio.timeout(deadline_s):
        return await answer


class FarChild:
    """A worker's process on a node: its control stream, and what its station knows of it."""

    def __init__(self, number: int, on: Node, control: Pair, left: Callable[[int], None]) -> None:
        """`left`: told once, with how often planted keys were opened there so far, or 0."""
        self.reader, self.writer = control
        self.node, self.level = on.name, on.level
        self._number, self._on, self._left = number, on, left
        self._broken = False
        on.children.add(self)

    def kill(self) -> None:
        """The station kills a worker whose stream is over."""
        self.writer.transport.abort()

    async def ending(self) -> str:
        if self._on.lost:
            return "its node is lost"
        try:
            ending: Ending = await asked(self._on.station.ending.remote(self._number))
        except (RayError, TimeoutError):
            self._broken = True
            return "its node does not say how"
        self._broken = self._broken or ending.broken
        return ending.words

    def lost(self) -> str:
        if self._on.silent:
            return f"node {self.node}: {self._on.silent}"
        torn = self._broken or self.reader.exception() is not None
        return f"node {self.node}: the connection broke" if torn else ""

    async def close(self) -> None:
        """Cancelled, it has left all the same."""
        openings = 0
        self.kill()
        try:
            with suppress(RayError, TimeoutError):
                if not self._on.lost:
                    openings = await asked(self._on.station.close.remote(self._number))
        finally:
            self._on.children.discard(self)
            self._left(openings)
