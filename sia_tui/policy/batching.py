"""Requests of many lanes, gathered into batches for one worker thread.

First in, first out: the oldest waiting row is in the next batch, and the others join it in their order where their
prompts are of like length, since a short prompt beside a long one is padded to it. Knows nothing of HTTP or models.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sia_tui.policy.rows import Completion, QueueFull, Row
from sia_tui.policy.tally import Tally

log = logging.getLogger("sia.gateway")

T = TypeVar("T")

SLACK_TOKENS = 128
"""Prompts whose lengths differ by less than this share a batch whatever their ratio."""
LONGEST_RATIO = 2.0
PATIENCE = 5
"""A batch is held open for at most this many windows while rows keep arriving."""
WINDOW_SHARE = 0.03
LONGEST_WINDOW_S = 0.05
"""After slow batches the window grows to this share of the last one, at most to this: callers whose rows ended
together come back together, and half of them in a batch of their own costs more than the wait."""


class Generate(Protocol):
    def __call__(
        self, rows: Sequence[Row], done: Callable[[int, Completion], None], cancelled: Callable[[int], bool]
    ) -> None: ...


@dataclass
class Waiting:
    row: Row
    result: asyncio.Future[Completion]


class Batcher:
    """Runs `generate` on one worker thread for rows given to `submit`; `call` runs anything else there in between.

    `expected()` is how many rows could be waiting at once; when that many wait, nobody else is waited for.
    """

    def __init__(
        self,
        generate: Generate,
        *,
        max_batch: int,
        window_s: float,
        max_queue: int,
        expected: Callable[[], int],
    ) -> None:
        self._generate, self._expected = generate, expected
        self._max_batch, self._window_s, self._max_queue = max_batch, window_s, max_queue
        self._queue: deque[Waiting] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="generate")
        self._last_s = 0.0
        self.running = 0
        self.batches = 0
        self.tally = Tally()

    @property
    def depth(self) -> int:
        """Rows that wait for a batch."""
        return sum(not waiting.result.done() for waiting in self._queue)

    async def submit(self, rows: Sequence[Row]) -> list[Completion]:
        """All rows or none. Raises QueueFull, and what the backend raised; cancelling it cancels the rows."""
        if len(self._queue) + len(rows) > self._max_queue:
            self._drop_cancelled()
            if len(self._queue) + len(rows) > self._max_queue:
                raise QueueFull(f"{len(self._queue)} requests wait already")
        loop = asyncio.get_running_loop()
        waiting = [Waiting(row, loop.create_future()) for row in rows]
        self._queue.extend(waiting)
        self._arrived.set()
        return await asyncio.gather(*(w.result for w in waiting))

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Runs the function on the worker thread, after the batch in progress."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def run(self) -> None:
        """Serves until cancelled. A failing batch fails its own rows only."""
        while True:
            if not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            await self._gather()
            batch = self._take()
            if batch:
                await self._execute(batch)

    def _drop_cancelled(self) -> None:
        self._queue = deque(w for w in self._queue if not w.result.done())

    async def _gather(self) -> None:
        """Waits until no row has arrived for one window, all that are expected have, or patience ends."""
        window = max(self._window_s, min(WINDOW_SHARE * self._last_s, LONGEST_WINDOW_S))
        end = time.monotonic() + PATIENCE * window
        while 0 < self.depth < min(self._max_batch, self._expected()) and time.monotonic() < end:
            self._arrived.clear()
            try:
                async with asyncio.timeout(window):
                    await self._arrived.wait()
            except TimeoutError:
                return

    def _take(self) -> list[Waiting]:
        self._drop_cancelled()
        if not self._queue:
            return []
        head = self._queue[0]
        batch: list[Waiting] = []
        rest: deque[Waiting] = deque()
        for waiting in self._queue:
            fits = len(batch) < self._max_batch and alike(head.row, waiting.row)
            (batch if fits else rest).append(waiting)
        self._queue = rest
        return batch

    async def _execute(self, batch: list[Waiting]) -> None:
        loop = asyncio.get_running_loop()
        start = time.monotonic()
        self.running = len(batch)

        def settle(i: int, completion: Completion) -> None:
            self.tally.count(batch[i].row, completion)
            if not batch[i].result.done():
                batch[i].result.set_result(completion)

        def done(i: int, completion: Completion) -> None:
            loop.call_soon_threadsafe(settle, i, completion)

        try:
            rows = [w.row for w in batch]
            await self.call(self._generate, rows, done, lambda i: batch[i].result.cancelled())
        except Exception as error:
            log.exception("a batch of %d rows failed", len(batch))
            for waiting in batch:
                if not waiting.result.done():
                    waiting.result.set_exception(error)
        finally:
            self._last_s = time.monotonic() - start
            self.running = 0
            self.batches += 1


def alike(head: Row, other: Row) -> bool:
    """Whether two prompts are near enough in length to be padded to the longer."""
    short, long = sorted((len(head.prompt_ids), len(other.prompt_ids)))
    return long - short < SLACK_TOKENS or long <= LONGEST_RATIO * short
