"""Child processes: none outlives its parent, however that dies, and none its own start, however that is cancelled."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import threading
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

PR_SET_PDEATHSIG = 1
START_S, GONE_S = 30.0, 2.0
"""What work that was cancelled, and what a process that was killed, are waited for at most."""
_libc = ctypes.CDLL(None)
_LINUX = sys.platform == "linux"

T = TypeVar("T")


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """To be run in the child between fork and exec: Linux, and no other, kills it when the thread that started it is gone."""
    if _LINUX:
        _libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


async def started(argv: Sequence[str], **how: Any) -> Process:
    """As `asyncio.create_subprocess_exec`, but whole: one that is cut off while its pipes are being connected never returns
    (CPython 3.11)."""
    return await finished(asyncio.create_subprocess_exec(*argv, **how), ended)


async def finished(work: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[None]] | None = None) -> T:
    """What it gives. Cancelled, it lets the work come to its end all the same and has what came of it undone; cancelled
    once more meanwhile, it only waits no longer."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        ending = asyncio.ensure_future(_undone(task, undo))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ending), START_S)
        raise


async def _undone(task: asyncio.Future[T], undo: Callable[[T], Awaitable[None]] | None) -> None:
    await asyncio.wait({task})
    if not task.cancelled() and task.exception() is None and undo is not None:
        await undo(task.result())


async def stoppable(work: Callable[[threading.Event], T]) -> T:
    """`work` in a thread. Cancelled, it sets the event, which the work is to heed: the loop's end waits for its threads."""
    stop = threading.Event()
    try:
        return await asyncio.to_thread(work, stop)
    finally:
        stop.set()


async def ended(process: Process) -> None:
    """Killed with all it started, and gone. What it had started may have left it and hold its output open: nobody waits for
    that for long, or reads it any more."""
    (end if process.returncode is None else end_group)(process.pid)
    await gone(process)
    if process.returncode is not None:
        process._transport.close()  # type: ignore[attr-defined]  # nothing public closes the pipes


async def gone(process: Process) -> None:
    """Until it is, for a while."""
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), GONE_S)


def end(pid: int) -> None:
    """Kill a process that nobody has waited for yet, what it started, and its group where it leads one.

    Bubblewrap's inner process leaves the group a while before it has asked to die with the outer one: in between the
    outer one's death would leave it behind, with the whole sandbox.
    """
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            _kill(int(child))
    _kill(pid)
    end_group(pid)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def end_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
