"""A control group of its own for each slot, where this user may make any: memory and processes of all that it starts.

Version 2 needs both controllers handed down (`cgroup.subtree_control`) to the engine's own group or, since a group that
holds processes cannot hand any down, to the group around it. Version 1 has a hierarchy for each.
"""

from __future__ import annotations

import functools
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CONTROLLERS = ("memory", "pids")
_NAME = "sia-tui"
_ENTER = 'n=$0; while [ "$n" -gt 0 ]; do echo $$ > "$1" || exit 125; shift; n=$((n - 1)); done; exec "$@"'
_GONE_S, _LOOK_S = 2.0, 0.01
_numbers = itertools.count()


@dataclass(frozen=True)
class Hierarchy:
    """Where groups can be made: one folder, or in version 1 one for each controller, in the order of CONTROLLERS."""

    folders: tuple[Path, ...]
    version: int


@dataclass(frozen=True)
class Group:
    folders: tuple[Path, ...]

    def entered(self, argv: Sequence[str]) -> list[str]:
        """A command line that joins the group before anything else: nothing that it starts can be outside."""
        files = [str(folder / "cgroup.procs") for folder in self.folders]
        return ["/bin/sh", "-c", _ENTER, str(len(files)), *files, *argv]

    def close(self) -> None:
        """Once its processes are dead, and buried by whoever is their parent."""
        end = time.monotonic() + _GONE_S
        for folder in self.folders:
            while folder.exists() and time.monotonic() < end:
                with suppress(OSError):
                    folder.rmdir()
                    break
                time.sleep(_LOOK_S)


@functools.cache
def hierarchy() -> Hierarchy | None:
    """Tried for real, once per process: a group is made and removed. What killed engines left is removed too."""
    try:
        found = list(candidates(Path("/proc/self/mounts").read_text(), Path("/proc/self/cgroup").read_text()))
    except OSError:
        return None
    for candidate in found:
        with suppress(OSError):
            for folder in candidate.folders:
                _sweep(folder)
            made(candidate, 64 * 1024 * 1024, 16).close()
            return candidate
    return None


def made(where: Hierarchy, memory: int, processes: int) -> Group:
    """A new group with these limits, in bytes and in number. Raises OSError."""
    name = f"{_NAME}-{os.getpid()}-{next(_numbers)}"
    group = Group(tuple(folder / name for folder in where.folders))
    try:
        for folder in group.folders:
            folder.mkdir()
        if where.version == 2:
            _write(group.folders[0] / "memory.max", memory)
            _write(group.folders[0] / "pids.max", processes)
            with suppress(OSError):
                _write(group.folders[0] / "memory.swap.max", 0)
        else:
            _write(group.folders[0] / "memory.limit_in_bytes", memory)
            _write(group.folders[1] / "pids.max", processes)
            with suppress(OSError):
                _write(group.folders[0] / "memory.memsw.limit_in_bytes", memory)
    except OSError:
        group.close()
        raise
    return group


def candidates(mounts: str, groups: str) -> Iterator[Hierarchy]:
    """Where groups might be made, by the texts of /proc/self/mounts and /proc/self/cgroup."""
    of = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in groups.splitlines() if line.count(":") >= 2}
    points: dict[str, Path] = {}
    for line in mounts.splitlines():
        _, point, kind, options, *_ = line.split()
        if kind == "cgroup2":
            points[""] = Path(point)
        elif kind == "cgroup":
            points |= {name: Path(point) for name in CONTROLLERS if name in options.split(",")}
    if "" in of and "" in points:
        own = _below(points[""], of[""])
        yield from (Hierarchy((folder,), 2) for folder in (own, own.parent) if _hands_down(folder))
    if all(name in of and name in points for name in CONTROLLERS):
        yield Hierarchy(tuple(_below(points[name], of[name]) for name in CONTROLLERS), 1)


def _below(point: Path, group: str) -> Path:
    """Of a namespace of groups that hides what is above, the mount shows the same part."""
    folder = point / group.lstrip("/")
    return folder if folder.is_dir() else point


def _hands_down(folder: Path) -> bool:
    try:
        return {*CONTROLLERS} <= {*(folder / "cgroup.subtree_control").read_text().split()}
    except OSError:
        return False


def _write(file: Path, value: int) -> None:
    file.write_text(str(value))


def _sweep(folder: Path) -> None:
    for left in folder.glob(f"{_NAME}-*"):
        pid = left.name.split("-")[2]
        if not Path("/proc", pid).exists():
            with suppress(OSError):
                left.rmdir()
