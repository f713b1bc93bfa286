"""Child processes: none outlives its parent, however that dies, and none its own start, however that is cancelled."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
START_S, GONE_S = 30.0, 2.0
"""What a start that was cancelled, and what a process that was killed, are waited for at most."""
_libc = ctypes.CDLL(None)
_LINUX = sys.platform == "linux"


def die_with_parent() -> None:
    """To be run in the child between fork and exec: Linux, and no other, kills it when the thread that started it is gone."""
    if _LINUX:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


async def started(argv: Sequence[str], **how: Any) -> Process:
    """As `asyncio.create_subprocess_exec`. Cancelled, it lets the start finish and ends what came of it: one that is cut
    off while its pipes are being connected never returns (CPython 3.11)."""
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*argv, **how))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # Cancelled once more meanwhile, it is still ended as soon as it stands.
        starting.add_done_callback(_end_started)
        with suppress(TimeoutError):
            await gone(await asyncio.wait_for(asyncio.shield(starting), START_S))
        raise


def _end_started(starting: asyncio.Future[Process]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        end(starting.result().pid)


async def gone(process: Process) -> None:
    """Until it is, for a while: what it had started may hold its output open for longer."""
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
