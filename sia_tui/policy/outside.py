"""What backends whose model is in another process have in common: when that process is lost, so is the gateway.

An error handed to a harness would be scored as the policy's, so a call that cannot be answered stays unanswered until
the gateway has ended; the engine starts another one and asks again.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NoReturn

from sia_tui.policy.rows import BackendError, Completion, QueueFull, Row
from sia_tui.policy.tally import Tally

ADMIN_S = 120.0
CONNECT_S = 10.0


class Lost(Exception):
    """What answers behind the gateway is gone, or of no use; in one line."""


class Asked(ABC):
    """One request a row, as many side by side as come. Made and used in one event loop."""

    def __init__(self, max_queue: int) -> None:
        self._max_queue = max_queue
        self._tally, self._running = Tally(), 0
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def load(self) -> dict[str, Any]:
        return {"queue_depth": 0, "running": self._running} | self._tally.told()

    async def complete(self, rows: Sequence[Row]) -> list[Completion]:
        if self._running + len(rows) > self._max_queue:
            raise QueueFull(f"{self._running} requests run already")
        self._running += len(rows)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._counted(row)) for row in rows]
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            self._running -= len(rows)
        return [task.result() for task in tasks]

    async def _counted(self, row: Row) -> Completion:
        completion = await self._one(row)
        self._tally.count(row, completion)
        return completion

    @abstractmethod
    async def _one(self, row: Row) -> Completion: ...

    async def run(self) -> None:
        """Raises Lost when it happens."""
        await asyncio.shield(self._lost)

    async def lose(self, why: str) -> NoReturn:
        if not self._lost.done():
            self._lost.set_exception(Lost(why))
        await never()


async def never() -> NoReturn:
    """Until it is cancelled."""
    for_good: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()
    await for_good


class Outside(Asked):
    """By HTTP, at one address."""

    def __init__(self, http: Any, url: str, max_queue: int) -> None:
        super().__init__(max_queue)
        self._http, self._url = http, url

    async def _post(self, path: str, body: Any = None, timeout_s: float | None = ADMIN_S) -> tuple[int, Any, Any]:
        """Status, answer (JSON or text) and headers. Raises aiohttp.ClientError, TimeoutError."""
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S)
        async with self._http.post(f"{self._url}{path}", json=body, timeout=timeout) as response:
            json = "json" in response.headers.get("Content-Type", "")
            return response.status, await (response.json() if json else response.text()), response.headers


def said(answer: Any) -> str:
    """An error's message, in whatever shape it came."""
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    message = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(message).split())[:300]


def refused(path: str, status: int, answer: Any) -> BackendError:
    return BackendError(f"{path}: {status} {said(answer)}")
