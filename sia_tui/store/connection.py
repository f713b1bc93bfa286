"""A read-only connection to a run.db, one a thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sia_tui.store.version import StoreError, open_readonly


class Connection:
    """Cheap to open; every query sees the newest commit."""

    def __init__(self, path: Path) -> None:
        """Raises StoreError for a missing, damaged, foreign or newer file."""
        self._path = path
        self._connection = open_readonly(path)
        self._connection.row_factory = sqlite3.Row

    def close(self) -> None:
        self._connection.close()

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self._path}: cannot be read ({error}); it was left as it is") from error
