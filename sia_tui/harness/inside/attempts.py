"""The task's compiler, for one episode: asked over the worker's control socket, one question at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sia_tui.harness.inside import sia
else:
    import sia


class Attempts:
    """What a case's `attempt` calls. The engine keeps the count too, and ends a worker that asks for more."""

    def __init__(self, left: int, longest: int, ask: Callable[[str], None]) -> None:
        self._left, self._longest, self._ask = left, longest, ask
        self._turn = asyncio.Lock()
        self._heard: asyncio.Future[str] | None = None

    async def __call__(self, answer: str) -> str:
        """Raises AttemptError. A question that was sent is waited for also when whoever asked has been cancelled."""
        if not isinstance(answer, str) or len(answer) > self._longest:
            raise sia.AttemptError(f"an attempt is a text of at most {self._longest:,} characters")
        await self._turn.acquire()
        if not self._left:
            self._turn.release()
            raise sia.AttemptError("this episode has no attempt left")
        self._left -= 1
        self._heard = asyncio.get_running_loop().create_future()
        self._ask(answer.encode("utf-8", "replace").decode("utf-8"))
        return await asyncio.shield(self._heard)

    def hear(self, said: str) -> None:
        if self._heard is not None and not self._heard.done():
            self._heard.set_result(said)
            self._turn.release()

    def close(self) -> None:
        self._left = 0
