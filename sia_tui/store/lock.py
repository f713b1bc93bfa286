"""One engine per run, held by flock: the kernel lets go when the process dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sia_tui.core.clock import when
from sia_tui.core.text import one_line
from sia_tui.flock import got
from sia_tui.store.asked import listens

TRIES, TRY_S = 10, 0.03
USE_S = 30.0


class RunHeld(Exception):
    """Another engine has this run; the message says which."""


@dataclass(frozen=True)
class Hold:
    """What somebody has of a run."""

    path: Path
    descriptor: int

    def stands(self) -> bool:
        """Whether others who come to the path meet this hold: not once its folder was moved or deleted."""
        try:
            there = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            # A disk that does not answer has taken nothing away.
            return True
        return os.path.samestat(there, os.fstat(self.descriptor))


@contextlib.contextmanager
def hold(path: Path, as_engine: bool = True) -> Iterator[Hold]:
    """Hold the run for this process; not `as_engine`: `is_held` says no, and no engine begins meanwhile. Raises RunHeld if
    another one does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Whoever may read it may hold it, and earlier versions let others.
        os.fchmod(descriptor, 0o600)
        if not (_taken(descriptor, fcntl.LOCK_EX) and (as_engine or _taken(descriptor, fcntl.LOCK_SH))):
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
        yield Hold(path, descriptor)
    finally:
        os.close(descriptor)


def _taken(descriptor: int, how: int) -> bool:
    """A client that asks `is_held` has the lock for an instant; only an engine has it longer."""
    for _ in range(TRIES):
        if got(descriptor, how):
            return True
        time.sleep(TRY_S)
    return False


@contextlib.contextmanager
def starting(path: Path) -> Iterator[None]:
    """For whoever starts an engine, while it comes up: windows say so. That two do is the engines' to sort out."""
    with contextlib.ExitStack() as stack:
        # Nothing but a word for people.
        with contextlib.suppress(RunHeld, OSError):
            stack.enter_context(hold(path))
        yield


def is_held(path: Path) -> bool:
    """Whether an engine is alive on this run; of another user's, whether it listens."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except PermissionError:
        return listens(path.parent)
    try:
        return not got(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _holder(path: Path) -> str:
    try:
        about = json.loads(path.read_text())
        return f"engine pid {about['pid']} on {about['host']} since {when(str(about['since']))}"
    except (OSError, ValueError, KeyError):
        return "another engine"


@contextlib.contextmanager
def hold_beside(path: Path) -> Iterator[None]:
    """As `hold`, of what is measured beside a run, in a folder of the run's."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold(path))
        except RunHeld:
            raise RunHeld(f"another command measures beside {path.parents[1].name}; wait for it") from None
        yield


@contextlib.contextmanager
def hold_restoring(root: Path) -> Iterator[None]:
    """As `hold`, of what is laid out in a workspace: whatever lies there half laid out is then nobody's."""
    path = root / "restore.lock"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold(path))
        except RunHeld:
            by = _holder(path).removeprefix("engine ")
            raise RunHeld(f"another restore lays runs out in {root} ({by}); wait for it") from None
        yield


@contextlib.contextmanager
def using(root: Path, what: str = "an engine", alone: bool = False) -> Iterator[None]:
    """Use what the runs of the workspace `root` share, as others do; `alone`, to delete of it. Raises RunHeld, which says
    who: while somebody uses it, or where it is still being deleted of after USE_S; OSError to whoever is to be alone."""
    path, own = root / "engine.lock", json.dumps({"pid": os.getpid(), "what": what}).encode()
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        if alone:
            raise
        # Where nothing can be written nothing is deleted either; what is to be done about it others say better.
        yield
        return
    try:
        end = time.monotonic() + (0 if alone else USE_S)
        while not got(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
            if time.monotonic() > end:
                told = "is used by" if alone else "is being cleared by"
                raise RunHeld(f"workspace {root} {told} {_user(path)}; wait for it")
            time.sleep(TRY_S)
        # What it says is for people, and of several the last one is enough.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, own, 0)
        yield
        with contextlib.suppress(OSError):
            if os.pread(descriptor, len(own) + 1, 0) == own:
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _user(path: Path) -> str:
    """One who has the workspace; who died may have left its name."""
    try:
        about = json.loads(path.read_text())
        if Path(f"/proc/{int(about['pid'])}").exists():
            return f"{one_line(str(about['what']), 60)} (pid {int(about['pid'])})"
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return "an engine or another command"
