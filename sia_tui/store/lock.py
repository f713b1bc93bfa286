"""One engine per run, held by flock: the kernel lets go when the process dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sia_tui.store.asked import listens

TRIES, TRY_S = 10, 0.03


class RunHeld(Exception):
    """Another engine has this run; the message says which."""


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the run for this process. Raises RunHeld if another one does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Whoever may read it may hold it, and earlier versions let others.
        os.fchmod(descriptor, 0o600)
        if not _taken(descriptor):
            raise RunHeld(f"run {path.parent.name} is held by {_holder(path)}; see it with: sia-tui attach")
        about = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        # What it says is for people; on a full disk the lock still holds.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(about).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    """A client that asks `is_held` has the lock for an instant; only an engine has it longer."""
    for _ in range(TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(TRY_S)
    return False


def is_held(path: Path) -> bool:
    """Whether an engine is alive on this run; of another user's, whether it listens."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except PermissionError:
        return listens(path.parent)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _holder(path: Path) -> str:
    try:
        about = json.loads(path.read_text())
        return f"engine pid {about['pid']} on {about['host']} since {about['since']}"
    except (OSError, ValueError, KeyError):
        return "another engine"
