"""Two kinds of work that must never run side by side take turns, in the order they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Work of one kind runs side by side; whoever waits for the other kind to end holds up all who come later."""

    def __init__(self) -> None:
        self._queue = asyncio.Lock()
        self._running = {False: 0, True: 0}
        self._idle = {False: asyncio.Event(), True: asyncio.Event()}
        for idle in self._idle.values():
            idle.set()

    @asynccontextmanager
    async def turn(self, kind: bool) -> AsyncIterator[None]:
        async with self._queue:
            await self._idle[not kind].wait()
            self._running[kind] += 1
            self._idle[kind].clear()
        try:
            yield
        finally:
            self._running[kind] -= 1
            if not self._running[kind]:
                self._idle[kind].set()
