"""What a confined process takes beyond what the kernel limits by itself, looked at from outside while it runs.

The kernel limits a file's size, not how many there are; a user's processes, but not root's; a tmpfs' bytes, not its
names. So somebody looks, several times a second, and whoever is over a limit is killed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sia_tui.trees import TooDeep, below

PERIOD_S = 0.2
THREADS = 256
"""Of a worker and all that it started."""
NAMES = 50_000
"""Files and folders in one place that it may write to."""
_NAME_BYTES = 4096
"""What a name counts for, be its file empty."""
_BLOCK = 512


@dataclass(frozen=True)
class Allowed:
    folders: Mapping[Path, int] = field(default_factory=dict)
    """Bytes in each folder of the host that is written to; files without a name count into the first."""
    inside: tuple[Path, ...] = ()
    """Places of its own file system, whose bytes are limited already."""


def excess(pid: int, allowed: Allowed) -> str:
    """What the process of that number and its descendants have too much of, in words, or nothing."""
    family = list(_family(pid))
    threads = sum(len(_listed(f"/proc/{one}/task")) for one in family)
    if threads > THREADS:
        return f"more than {THREADS} threads"
    if any(_names(family[-1], place) > NAMES for place in allowed.inside):
        return f"more than {NAMES} files"
    nameless = _nameless(family) if allowed.folders else 0
    try:
        for folder, most in allowed.folders.items():
            if _size(folder, most) + nameless > most:
                return f"more than {most // 2**20} MiB of files"
            nameless = 0
    except TooDeep as deep:
        return str(deep)
    return ""


def _family(pid: int) -> Iterator[int]:
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        yield one
        for thread in _listed(f"/proc/{one}/task"):
            with suppress(OSError):
                waiting += map(int, Path(f"/proc/{one}/task/{thread}/children").read_text().split())


def _names(pid: int, place: Path) -> int:
    """Used up in a place as that process sees it; nothing while that is this machine's: its walls are not up yet."""
    with suppress(OSError):
        theirs = f"/proc/{pid}/root{place}"
        if place.exists() and place.stat().st_dev == Path(theirs).stat().st_dev:
            return 0
        told = os.statvfs(theirs)
        return told.f_files - told.f_ffree
    return 0


def _size(folder: Path, most: int) -> int:
    """Bytes on disk below the folder; no more are counted than it takes to be over `most`. Raises TooDeep."""
    total = 0
    for entry in below(folder):
        with suppress(OSError):
            total += _NAME_BYTES + entry.stat(follow_symlinks=False).st_blocks * _BLOCK
        if total > most + _NAME_BYTES * NAMES:
            break
    return total


def _nameless(family: list[int]) -> int:
    """Bytes of files that are open and have no name any more, each counted once."""
    sizes: dict[tuple[int, int], int] = {}
    for pid in family:
        for number in _listed(f"/proc/{pid}/fd"):
            with suppress(OSError):
                told = Path(f"/proc/{pid}/fd/{number}").stat()
                if stat.S_ISREG(told.st_mode) and told.st_nlink == 0:
                    sizes[told.st_dev, told.st_ino] = told.st_blocks * _BLOCK
    return sum(sizes.values())


def _listed(folder: str) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except OSError:
        return []
