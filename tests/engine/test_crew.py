"""Which workers a crew has, where there are fewer nodes than there were."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sia_tui.cluster.executor import Local
from sia_tui.engine import crew as crews
from sia_tui.engine.crew import Crew, Harness, NothingLeft, Post


class Full(Local):
    full = True

    def abreast(self, views: int) -> int:
        return 2

    def room(self) -> bool:
        return not self.full


async def test_a_second_worker_of_a_view_waits_until_a_node_has_room_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crews, "LOOK_S", 0.01)
    executor, left = Full(), [1]
    place: Any = SimpleNamespace(executor=executor, gateway=SimpleNamespace(lanes=4))
    crew = Crew(place, Harness(Path(), {}, "k"), 1)

    async def post(nth: int) -> Post:
        async with AsyncExitStack() as stack:
            return await stack.enter_async_context(crew.post("v", lambda: left[0], nth))

    hired = cast(Any, SimpleNamespace(worker=None, lanes=(0,)))
    monkeypatch.setattr(crew, "_hired", lambda view, width: nullcontext(hired))
    assert await post(0) is hired, "the first of a view waits for nobody"
    second = asyncio.create_task(post(1))
    await asyncio.sleep(0.05)
    assert not second.done()
    executor.full = False
    assert await second is hired
    executor.full = True
    third = asyncio.create_task(post(1))
    await asyncio.sleep(0.05)
    left[0] = 0
    with pytest.raises(NothingLeft):
        await third
