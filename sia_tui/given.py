"""Files that a person names: read whole, so none without an end. Standard library only."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

CONFIG, PATCH, CASES = 1 << 20, 16 << 20, 1 << 30
"""The most bytes of each."""
REGULAR = "a regular file is expected"


def opened(path: Path) -> BinaryIO:
    """A regular file. Raises OSError, also for what is none."""
    # Not waited for: whoever is to write into a pipe may never come.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(REGULAR)
    return os.fdopen(number, "rb")


def read_whole(path: Path, most: int) -> str:
    """As it is, line ends too. Raises OSError, also for more than `most` bytes, and UnicodeDecodeError."""
    with opened(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(_more(most))
        return read_all(file, most)


def read_all(file: BinaryIO, most: int) -> str:
    """All that comes. Raises OSError for more than `most` bytes, and UnicodeDecodeError."""
    if len(said := file.read(most + 1)) > most:
        raise OSError(_more(most))
    return said.decode("utf-8")


def _more(most: int) -> str:
    return f"more than {most >> 20} MiB"
