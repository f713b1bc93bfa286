"""For child processes that must not outlive their parent, however it dies."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_parent() -> None:
    """To be run in the child between fork and exec: Linux kills it when the thread that started it is gone."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def end(pid: int) -> None:
    """Kill a leader that nobody has waited for yet, what it started, and its group.

    Bubblewrap's inner process leaves the group a while before it has asked to die with the outer one: in between the
    outer one's death would leave it behind, with the whole sandbox.
    """
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
    end_group(pid)


def end_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
