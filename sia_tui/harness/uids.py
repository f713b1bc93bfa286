"""A user number for each slot, where root runs the engine: two slots cannot signal, trace or read one another.

A number is held by a lock that the kernel drops with the engine, so that engines on one machine never give the same.
"""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sia_tui.flock import got

LOCKS = Path("/run/sia-tui/uids")


@dataclass(frozen=True)
class Held:
    uid: int
    lock: int

    def let_go(self) -> None:
        os.close(self.lock)


def held(uids: tuple[int, int]) -> Held | None:
    """One that no other slot has, or None where there is none to be had."""
    if not_here(uids):
        return None
    first, last = uids
    count = last - first + 1
    start = random.randrange(count)
    for turn in range(count):
        uid = first + (start + turn) % count
        try:
            lock = os.open(LOCKS / str(uid), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
        if got(lock):
            return Held(uid, lock)
        os.close(lock)
    return None


def not_here(uids: tuple[int, int] | None) -> str:
    """Why slots have no numbers of their own on this machine, or nothing."""
    if uids is None:
        return "engine.walls.uids is null"
    if os.geteuid() != 0:
        return "only root can give them"
    first, last = uids
    if not any(begin <= first and last < begin + count for begin, count in _mapped()):
        return f"{first} to {last} are no user numbers in this container; set engine.walls.uids to some that are"
    try:
        LOCKS.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return f"{LOCKS}, which says who has which, cannot be made: {error.strerror}"
    return "" if os.access(LOCKS, os.W_OK) else f"{LOCKS}, which says who has which, cannot be written"


def _mapped() -> Iterable[tuple[int, int]]:
    """(first, how many) of the numbers that there are in this user namespace."""
    with suppress(OSError):
        for line in Path("/proc/self/uid_map").read_text().splitlines():
            begin, _, count = line.split()
            yield int(begin), int(count)


def closed(path: Path) -> Path | None:
    """What of a file or folder others cannot read: itself, or what lies right in it."""
    try:
        inside = list(path.iterdir()) if path.is_dir() else []
        for one in (path, *inside):
            mode = one.lstat().st_mode
            if not mode & stat.S_IROTH or (stat.S_ISDIR(mode) and not mode & stat.S_IXOTH):
                return one
    except OSError:
        return path
    return None


def in_the_way(path: Path) -> Path | None:
    """The folder at which others do not come further on their way to what lies in this one."""
    try:
        return next((one for one in (path, *path.parents) if not one.stat().st_mode & stat.S_IXOTH), None)
    except OSError:
        return path


def take_back(folder: Path) -> None:
    """What a slot wrote is the engine's again, and every other slot may read it. Its processes must be dead; it has left
    plain files and folders alone."""
    for root, folders, files in os.walk(folder):
        for path in (Path(root, name) for name in (*folders, *files)):
            mode = path.lstat().st_mode
            os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)
            path.chmod(stat.S_IMODE(mode) | (0o555 if stat.S_ISDIR(mode) or mode & 0o111 else 0o444))
    shutil.chown(folder, os.geteuid(), os.getegid())
