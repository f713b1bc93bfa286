"""What a reward reads of its task's folder, where it lies: hashed when the task is loaded, looked at whenever it judges."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sia_tui.core.text import one_line
from sia_tui.tasks.reward_host import CACHE, INSTALLED
from sia_tui.tasks.task import TaskError

CODE = frozenset(
    [".py", ".pyc", ".so", ".js", ".mjs", ".cjs", ".ts", ".sh", ".rb", ".pl", ".php", ".lua", ".jl", ".r", ".R", ".go"]
)
"""Suffixes of what a function may import, or a command's script load."""
NOT_THE_REWARDS = ("harness", "test_task.py")
"""At the top of the folder: they have their own hash, or judge nobody."""
SETTLED_NS = 2 * 10**9
"""A file that is younger when it is hashed may change again without its times telling."""

SPEC = "reward.json"
"""What a reward's process is told of it; its `files` are these hashes."""

Stamp = tuple[int, int, int, int]


class Reads:
    """The files that `globs` find, those that `words` of a command name, and, with `code`, all code of the folder but what
    is `copied` to whoever judges.

    Raises TaskError where a glob finds nothing, or a file cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        globs: Sequence[str] = (),
        words: Sequence[str] = (),
        code: bool = False,
        copied: str | None = None,
    ) -> None:
        self._folder, self._globs, self._words, self._code, self._copied = folder, globs, words, code, copied
        self._stamps: dict[str, Stamp] = {}
        self._data = set(self._globbed())
        self.hashes = {name: self._hash(name) for name in self._names()}
        """sha256 by path from the folder; by the word, where a command names another place."""

    def differs(self, anew: bool = False) -> str | None:
        """What was changed, removed or added since, in words: the times of every file are looked at, its content where they
        differ. `anew`: the content of all code, because a page that is written through memory leaves the times alone."""
        for name, sha256 in self.hashes.items():
            by_time = name in self._data or not anew
            try:
                same = by_time and self._stamps.get(name) == _stamp(self._folder / name)
                if not same and self._hash(name) != sha256:
                    return f"{self._folder / name} was changed"
            except (OSError, TaskError):
                return f"{self._folder / name} was removed"
        try:
            added = [name for name in self._names() if name not in self.hashes]
        except TaskError as error:
            return str(error)
        except RecursionError:
            # os.walk calls itself for each level (until Python 3.12).
            return f"{self._folder} has folders nested too deep to be looked into"
        return f"{self._folder / added[0]} was added" if added else None

    def _names(self) -> list[str]:
        found = {*self._globbed(), *(word for word in self._words if _is_file(self._folder / word))}
        return sorted(found | (set(_code(self._folder)) - {self._copied}) if self._code else found)

    def _globbed(self) -> Iterator[str]:
        for glob in self._globs:
            try:
                # Python 3.11 to 3.13 each say in another way that something is no glob.
                found = [] if ".." in Path(glob).parts else [path for path in self._folder.glob(glob) if path.is_file()]
            except (OSError, ValueError, IndexError, NotImplementedError, re.error, RecursionError):
                found = []
            if not found:
                raise TaskError(f"task.yaml: reward.files: there is no {one_line(glob, 100)!r} in {self._folder}")
            yield from (str(path.relative_to(self._folder)) for path in found)

    def _hash(self, name: str) -> str:
        path = self._folder / name
        try:
            stamp = _stamp(path)
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise TaskError(f"{path}, which the reward reads, cannot be read: {error.strerror}") from error
        self._stamps.pop(name, None)
        if time.time_ns() - max(stamp[2:]) > SETTLED_NS:
            self._stamps[name] = stamp
        return sha256


def unlike(folder: Path, files: Mapping[str, bytes]) -> Iterator[str]:
    """What differs where an earlier verifier lies in `folder` from these, in words; nothing where it is gone."""
    for name, content in sorted(files.items()):
        try:
            was = (folder / name).read_bytes()
        except OSError:
            if any((folder / other).is_file() for other in files):
                yield f"{name} was not part of it"
            continue
        if was != content:
            yield from _told(name, was, content) if name == SPEC else [f"{folder / name} differs"]


def _told(name: str, was: bytes, now: bytes) -> Iterator[str]:
    """Of a reward's description: by the file that it reads, by the key of the rest."""
    try:
        before, after = json.loads(was), json.loads(now)
        files, new = before.pop("files", None), after.pop("files")
        changed = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
        if files is None:
            yield "an earlier version did not hash what the reward reads"
        for file in sorted({*files, *new}) if files is not None else ():
            if files.get(file) != new.get(file):
                how = "added" if file not in files else "changed" if file in new else "removed"
                yield f"{file}, which the reward reads, was {how}"
    except (ValueError, LookupError, TypeError, AttributeError):
        yield f"{name} differs"
        return
    yield from (f"task.yaml: reward: {key} was changed" for key in changed)


def _code(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in (CACHE, *INSTALLED)]
        names = files
        if Path(place) == folder:
            folders[:] = [name for name in folders if name not in NOT_THE_REWARDS]
            names = [name for name in files if name not in NOT_THE_REWARDS]
        for name in names:
            path = Path(place, name)
            if path.suffix in CODE and not name.startswith(".") and path.is_file():
                yield str(path.relative_to(folder))


def _is_file(path: Path) -> bool:
    """Of a word, which may be too long for a name, or hold what no name does."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
