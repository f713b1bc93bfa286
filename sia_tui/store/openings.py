"""Every time a run of the workspace opened a test set: a second look at the same set is said, not hidden."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlite_utils import Database

from sia_tui.store.writer import immediate, now


def record_opening(path: Path, run: str, test_hash: str) -> int:
    """Note that `run` opens this test set; returns how many other runs had done so before. Repeatable."""
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
