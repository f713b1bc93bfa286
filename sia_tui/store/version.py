"""Whose file is it, and of which version: asked before anything is read from or written to a run.db."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from sia_tui.core.text import one_line

APPLICATION_ID = 0x51A701
SCHEMA_VERSION = 5


class Still(sqlite3.Connection):
    """Of a file that nobody was writing when it was opened: what is written later it would not see."""


class StoreError(Exception):
    """A run.db that cannot be used, in one line: what is wrong, where, what to do."""


def open_readonly(path: Path) -> sqlite3.Connection:
    """A read-only connection to a run.db. Raises StoreError; never changes the file."""
    if not path.is_file():
        raise StoreError(f"{path}: no such run database")
    try:
        connection = connected(path)
        _require_ours(connection, path)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: not a readable run database ({error}); it was left as it is") from error
    return connection


def made_private(path: Path) -> None:
    """For a file of SQLite's that is not there yet; what cannot be made SQLite will say."""
    with suppress(OSError):
        path.touch(mode=0o600)


def require_sound(path: Path) -> None:
    """Full integrity check before an engine writes. Raises StoreError; never changes the file."""
    connection = open_readonly(path)
    try:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        verdict = str(error)
    finally:
        connection.close()
    if verdict != "ok":
        raise StoreError(f"{path}: damaged ({one_line(verdict, 200)}); it was left as it is, restore it from a backup")


def connected(path: Path) -> sqlite3.Connection:
    """Read-only. Where nothing may be written, SQLite cannot make the shared memory that a WAL needs; where there is no WAL,
    nobody writes."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=5.0)
    try:
        connection.execute("PRAGMA schema_version")
    except sqlite3.OperationalError:
        connection.close()
        if path.with_name(f"{path.name}-wal").exists() or os.access(path.parent, os.W_OK):
            raise
        connection = sqlite3.connect(f"{address}&immutable=1", uri=True, factory=Still)
    return connection


def _require_ours(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StoreError(f"{path}: not a run database of sia-tui; it was left as it is")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path}: written by a newer sia-tui (schema {version}, this one knows {SCHEMA_VERSION}); upgrade sia-tui"
        )
