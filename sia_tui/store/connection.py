"""A read-only connection to a run.db, one a thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from sia_tui.store.version import Still, StoreError, open_readonly

Moment = Callable[[], str]
"""A recorded time, as in the columns `at`: what was written later is not there."""
_DATED = ("events", "episodes", "metrics", "agent_calls")
_FLEETING = ("progress", "machine")
"""What only ever says what is now."""


class Connection:
    """Cheap to open; every query sees the newest commit, or the run as it was at `moment`."""

    def __init__(self, path: Path, moment: Moment | None = None) -> None:
        """Raises StoreError for a missing, damaged, foreign or newer file."""
        self._path, self._moment = path, moment
        self._opened = 0
        """How often."""
        self._open()

    def _open(self) -> None:
        stamp = self._file()
        self._connection = open_readonly(self._path)
        self._stamp, self._opened = stamp, self._opened + 1
        self._connection.row_factory = sqlite3.Row
        if self._moment is not None:
            self._go_back(self._moment)

    def close(self) -> None:
        self._connection.close()

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        if isinstance(self._connection, Still) and self._written():
            before = self._connection
            self._open()
            before.close()
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self._path}: cannot be read ({error}); it was left as it is") from error

    def _written(self) -> bool:
        """Whether somebody writes, or has since it was opened."""
        return self._file() != self._stamp or self._path.with_name(f"{self._path.name}-wal").exists()

    def _file(self) -> tuple[int, int, int] | None:
        """Another one when somebody has written, and nobody does."""
        try:
            about = self._path.stat()
        except OSError:
            return None
        return about.st_ino, about.st_mtime_ns, about.st_size

    def _go_back(self, moment: Moment) -> None:
        """Views of this connection's own hide the tables whose names they bear, so no query needs to know."""
        self._connection.create_function("moment", 0, moment)
        there = {row["name"] for row in self._rows("select name from sqlite_master where type = 'table'")}
        for names, condition in ((_DATED, "at <= moment()"), (_FLEETING, "false")):
            for name in (name for name in names if name in there):
                view = f"create temp view {name} as select rowid as rowid, * from main.{name} where {condition}"
                self._rows(view)
