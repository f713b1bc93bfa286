"""Folder trees that somebody filled who is not trusted: however deep, whatever their modes. Links are not followed."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

DEEPEST = 64
"""Folders in one another that are looked into: a path of more may be too long to be named, and os.walk recurses (until
Python 3.12), as shutil.rmtree does."""


class TooDeep(Exception):
    """The message says what is, in words that go on after `killed for`."""


def below(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All that lies in it, but for what cannot be listed or is gone meanwhile. Raises TooDeep."""
    waiting = [(str(folder), 0)]
    while waiting:
        place, depth = waiting.pop()
        if depth > DEEPEST:
            raise TooDeep(f"folders nested more than {DEEPEST} deep")
        with suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, depth + 1))


def remove(folder: Path) -> None:
    """Blocking; who filled it must be dead. What cannot be removed is left."""
    with suppress(OSError):
        if folder.is_symlink() or not folder.is_dir():
            folder.unlink()
            return
        folder.chmod(0o700)
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        for entry in _entries(place):
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    # Moved up, so that no path grows with the depth. Only who may write to a folder may move it.
                    Path(entry).chmod(0o700)
                    waiting.append(Path(entry).rename(folder / uuid.uuid4().hex))
                else:
                    Path(entry).unlink()
        if place != folder:
            with suppress(OSError):
                place.rmdir()
    with suppress(OSError):
        folder.rmdir()


def _entries(place: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(place) as entries:
            return list(entries)
    except OSError:
        return []
