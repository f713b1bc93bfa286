"""Two kinds that must not meet: side by side within a kind, in the order of coming between them."""

from __future__ import annotations

import asyncio
import random

from sia_tui.policy.turns import Turns


async def test_the_kinds_never_meet_and_each_kind_runs_side_by_side() -> None:
    turns, running, most = Turns(), [0, 0], [0, 0]
    chance = random.Random(0)

    async def work(kind: bool, yields: int) -> None:
        async with turns.turn(kind):
            running[kind] += 1
            most[kind] = max(most[kind], running[kind])
            for _ in range(yields):
                assert not running[not kind]
                await asyncio.sleep(0)
            running[kind] -= 1

    async with asyncio.timeout(10):
        await asyncio.gather(*(work(chance.random() < 0.5, chance.randint(1, 9)) for _ in range(300)))
    assert min(most) > 1


async def test_who_waits_is_not_overtaken_and_who_gives_up_holds_up_nobody() -> None:
    turns, order, end = Turns(), list[str](), asyncio.Event()

    async def work(name: str, kind: bool) -> None:
        async with turns.turn(kind):
            order.append(name)
            await end.wait()

    first = asyncio.create_task(work("first", True))
    await asyncio.sleep(0)
    other, same, gone = (
        asyncio.create_task(work(name, kind)) for name, kind in (("other", False), ("same", True), ("gone", True))
    )
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    assert order == ["first"]
    end.set()
    async with asyncio.timeout(10):
        await asyncio.gather(first, other, same)
    assert order == ["first", "other", "same"]
