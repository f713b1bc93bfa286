"""What travels: a database as it is at one moment, whoever is writing, and a file out of an archive. No package is needed."""

from __future__ import annotations

import errno
import os
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

from sia_tui.core.room import no_room
from sia_tui.store.version import StoreError, open_readonly

_CHUNK = 1 << 20


def snapshot(db: Path, out: Path) -> None:
    """A new file, for its owner alone, without a WAL: what travels is a single file. Raises StoreError, OSError."""
    os.close(os.open(out, os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(open_readonly(db)) as source, closing(sqlite3.connect(out)) as copy:
            source.backup(copy)
            copy.execute("pragma journal_mode = delete")
    except sqlite3.Error as error:
        if no_room(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out)) from error
        raise StoreError(f"{db}: cannot be copied ({error}); it was left as it is") from error


def member(packed: zipfile.ZipFile, name: str, out: Path, most: int) -> None:
    """One file of an archive, at `out`, which must be free. Raises ValueError past `most` bytes: what an archive says of
    its sizes is not believed."""
    left = most
    with packed.open(name) as source, out.open("xb") as target:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise ValueError(f"{name} is larger than {most / 1e6:,.0f} MB")
            target.write(chunk)
