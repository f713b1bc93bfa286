"""Full disks: told apart from other errors, and said in one line."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from sia_tui.core.text import one_line

_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NAMES = ("SQLITE_FULL", "SQLITE_IOERR_WRITE")
_WORDS = (*map(os.strerror, _NUMBERS), "unexpected pos", "PytorchStreamWriter failed", "iostream error")
"""As those say it that write by themselves: safetensors, git and subprocesses in the system's words, torch in its own."""


class DiskFull(Exception):
    """Says in one line what could not be written, where, and how much is free and needed."""


def no_room(error: BaseException) -> bool:
    """Whether this error, or one behind it, is a disk, a quota or a largest file size that leaves no room."""
    return any(_full(one) for one in _behind(error))


def unwritten(error: BaseException, where: Path, free: int, needed: int | None = None) -> str:
    """One line. `free`: bytes left on the disk of `where`; `needed`: about as many bytes as were to be written."""
    first = next((one for one in _behind(error) if _full(one)), error)
    size = f"{megabytes(free)} free" + (f", about {megabytes(needed)} needed" if needed else "")
    return f"no room left to write in {where} ({size}): {one_line(_words(first), 200)}"


def unsaved(error: BaseException, out: Path) -> str:
    """Why `out`, a file or folder that somebody asked for, could not be written, in one line."""
    if not no_room(error):
        there = out.parent.is_dir()
        return f"{out}: {one_line(str(error), 300)}" if there else f"{out.parent}: no such folder"
    place = _place(error, out)
    return f"{unwritten(error, place, shutil.disk_usage(place).free)}; make some, or name another place"


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _full(error: BaseException) -> bool:
    if isinstance(error, DiskFull) or getattr(error, "sqlite_errorname", None) in _NAMES:
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _NUMBERS
    return any(words in str(error) for words in _WORDS)


def _place(error: BaseException, out: Path) -> Path:
    """The folder that is full: what is written beforehand may lie on another disk, and be gone by now."""
    files = [one.filename for one in _behind(error) if isinstance(one, OSError) and isinstance(one.filename, str)]
    return next(place for place in Path(files[0] if files else out).absolute().parents if place.exists())


def _words(error: BaseException) -> str:
    """Of many files that could not be copied, the first."""
    if isinstance(error, shutil.Error) and error.args and error.args[0]:
        return str(error.args[0][0][-1])
    return str(error) or type(error).__name__
