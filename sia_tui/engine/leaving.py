"""An engine that is asked from outside to end or to pause: in good order, and within a time."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Leaving:
    """What signals have asked for so far."""

    ending: bool = False
    """The episodes under way are finished, a training makes its step and a checkpoint, then the engine ends."""
    warned: bool = False
    """The machine will be taken away soon: the run is to be paused."""

    def heed_signals(self, grace_s: float) -> None:
        """SIGTERM ends this task in good order, and for good after `grace_s`, as a second one and SIGINT do at once.
        SIGUSR1 warns, as batch systems do before they end a job."""
        task, running = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def end() -> None:
            if self.ending:
                task.cancel()
            self.ending = True
            running.call_later(grace_s, task.cancel)

        running.add_signal_handler(signal.SIGINT, task.cancel)
        running.add_signal_handler(signal.SIGTERM, end)
        running.add_signal_handler(signal.SIGUSR1, lambda: setattr(self, "warned", True))


async def called_off(work: asyncio.Task[Any]) -> None:
    """Cancel a task and see it end. Raises what it failed by, and CancelledError only where this task is to end too."""
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    if is_ending():
        raise asyncio.CancelledError


def is_ending() -> bool:
    """Whether this task is to end, not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@dataclass
class Grace:
    """The time that a training has to make its step and a checkpoint once the run is to pause or end."""

    seconds: float
    interrupted: Callable[[], bool]
    hurried: Callable[[], bool]
    """There is nothing to save, or nobody who would go on from it."""
    _since: float | None = field(default=None, init=False)

    def begun(self) -> bool:
        if not self.interrupted():
            self._since = None
        elif self._since is None:
            self._since = time.monotonic()
        return self._since is not None

    def over(self) -> bool:
        """It is to be broken off now."""
        if not self.begun() or self._since is None:
            return False
        return self.hurried() or time.monotonic() - self._since >= self.seconds
