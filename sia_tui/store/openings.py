"""Every time a run of the workspace opened a test set: a second look at the same set is said, not hidden."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sia_tui.store.version import StoreError, connected, made_private


@dataclass(frozen=True)
class Opening:
    run: str
    at: str


def openings(path: Path, test_hash: str) -> list[Opening]:
    """Every one of this test set, oldest first. Standard library only. Raises StoreError."""
    if not path.is_file():
        return []
    try:
        with closing(connected(path)) as db:
            if not db.execute("select 1 from sqlite_master where name = 'test_openings'").fetchall():
                return []
            found = db.execute("select run, at from test_openings where test_hash = ? order by at, run", [test_hash])
            return [Opening(run, at) for run, at in found]
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be read ({error}); it was left as it is") from error


def record_opening(path: Path, run: str, test_hash: str) -> int:
    """Note that `run` opens this test set; returns how many other runs had done so before. Repeatable."""
    from sia_tui.store.database import Database
    from sia_tui.store.writer import immediate, now

    made_private(path)
    db = Database(sqlite3.connect(path, timeout=10.0))
    try:
        db.enable_wal()
        with immediate(db):
            openings = db.table("test_openings")
            openings.create({"test_hash": str, "run": str, "at": str}, pk=("test_hash", "run"), if_not_exists=True)
            openings.insert({"test_hash": test_hash, "run": run, "at": now()}, ignore=True)
            return int(openings.count_where("test_hash = ? and run != ?", [test_hash, run]))
    finally:
        db.close()
