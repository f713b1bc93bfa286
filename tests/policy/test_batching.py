"""The batcher by itself, before a backend that only keeps books."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from sia_tui.policy.batching import Batcher, QueueFull, alike
from sia_tui.policy.rows import Completion, Row

pytestmark = pytest.mark.asyncio


class Books:
    """Finishes rows when let go; a row whose first token is 13 fails its batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.cancelled: list[int] = []
        self.go = threading.Event()
        self.go.set()

    def generate(
        self, rows: Sequence[Row], done: Callable[[int, Completion], None], cancelled: Callable[[int], bool]
    ) -> None:
        self.batches.append([row.prompt_ids[0] for row in rows])
        assert self.go.wait(10)
        for i, row in enumerate(rows):
            if row.prompt_ids[0] == 13:
                raise RuntimeError("unlucky")
            if cancelled(i):
                self.cancelled.append(row.prompt_ids[0])
            else:
                done(i, Completion(row.prompt_ids[:1], (0.0,), "x", "length"))


def row(name: int, length: int = 4) -> Row:
    return Row(prompt_ids=(name,) * length, max_tokens=1)


@asynccontextmanager
async def running(books: Books, max_batch: int = 4, max_queue: int = 8, expected: int = 4) -> AsyncIterator[Batcher]:
    batcher = Batcher(
        books.generate, max_batch=max_batch, window_s=0.01, max_queue=max_queue, expected=lambda: expected
    )
    task = asyncio.create_task(batcher.run())
    try:
        yield batcher
    finally:
        books.go.set()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def submit(batcher: Batcher, *names: int, length: int = 4) -> list[int]:
    return [c.ids[0] for c in await batcher.submit([row(name, length) for name in names])]


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail("it did not come to pass")


async def test_what_arrives_together_runs_together_and_in_order() -> None:
    books = Books()
    async with running(books) as batcher:
        answers = await asyncio.gather(*(submit(batcher, i) for i in range(10, 13)), submit(batcher, 20, 21, 22))
    assert books.batches == [[10, 11, 12, 20], [21, 22]]
    assert answers == [[10], [11], [12], [20, 21, 22]]
    assert (batcher.batches, batcher.tally.rows, batcher.tally.completion_tokens, batcher.depth) == (2, 6, 6, 0)


async def test_nobody_is_waited_for_when_all_have_come() -> None:
    books = Books()
    batcher = Batcher(books.generate, max_batch=4, window_s=30, max_queue=8, expected=lambda: 2)
    task = asyncio.create_task(batcher.run())
    async with asyncio.timeout(5):
        await asyncio.gather(submit(batcher, 1), submit(batcher, 2))
    task.cancel()
    assert books.batches == [[1, 2]]


async def test_lengths_far_apart_do_not_share_and_the_oldest_goes_first() -> None:
    books = Books()
    async with running(books) as batcher:
        await asyncio.gather(submit(batcher, 1, length=900), submit(batcher, 2), submit(batcher, 3, length=800))
    assert books.batches == [[1, 3], [2]]
    assert alike(row(1, 10), row(1, 100)) and alike(row(1, 500), row(1, 900)) and not alike(row(1, 100), row(1, 300))


async def test_a_failing_batch_fails_alone() -> None:
    books = Books()
    async with running(books) as batcher:
        with pytest.raises(RuntimeError, match="unlucky"):
            await submit(batcher, 13)
        assert await submit(batcher, 1) == [1]


async def test_cancelled_rows_leave_the_queue_and_the_batch() -> None:
    books = Books()
    books.go.clear()
    async with running(books, expected=1) as batcher:
        first = asyncio.create_task(submit(batcher, 1))
        await until(lambda: batcher.running == 1)
        second = asyncio.create_task(submit(batcher, 2))
        third = asyncio.create_task(submit(batcher, 3))
        await until(lambda: batcher.depth == 2)
        first.cancel()
        second.cancel()
        await asyncio.wait({first, second})
        books.go.set()
        assert await third == [3]
    assert books.cancelled == [1] and books.batches == [[1], [3]]


async def test_the_queue_is_bounded_and_takes_all_or_none() -> None:
    books = Books()
    books.go.clear()
    async with running(books, max_queue=2, expected=1) as batcher:
        first = asyncio.create_task(submit(batcher, 1))
        await until(lambda: batcher.running == 1)
        second = asyncio.create_task(submit(batcher, 2))
        await until(lambda: batcher.depth == 1)
        with pytest.raises(QueueFull):
            await submit(batcher, 3, 4)
        assert batcher.depth == 1
        second.cancel()
        await asyncio.wait({second})
        fifth = asyncio.create_task(submit(batcher, 5, 6))
        await until(lambda: batcher.depth == 2)
        books.go.set()
        assert await first == [1] and await fifth == [5, 6]


async def test_calls_run_between_batches_on_the_same_thread() -> None:
    books = Books()
    books.go.clear()
    async with running(books, expected=1) as batcher:
        first = asyncio.create_task(submit(batcher, 1))
        await until(lambda: batcher.running == 1)
        called = asyncio.create_task(batcher.call(threading.get_ident))
        await asyncio.sleep(0.01)
        assert not called.done()
        books.go.set()
        assert await called != threading.get_ident() and await first == [1]
