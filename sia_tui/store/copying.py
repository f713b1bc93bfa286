"""A database as it is at one moment, whoever is writing. Standard library only."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sia_tui.store.version import StoreError, open_readonly


def snapshot(db: Path, out: Path) -> None:
    """A new file, for its owner alone, without a WAL: what travels is a single file. Raises StoreError, OSError."""
    os.close(os.open(out, os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(open_readonly(db)) as source, closing(sqlite3.connect(out)) as copy:
            source.backup(copy)
            copy.execute("pragma journal_mode = delete")
    except sqlite3.Error as error:
        raise StoreError(f"{db}: cannot be copied ({error}); it was left as it is") from error
