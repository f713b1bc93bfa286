"""A run that may be read and not written: said in one way, whoever meets it."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths

_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
_UNOPENED = ("SQLITE_READONLY", "SQLITE_CANTOPEN")


def require_writable(paths: RunPaths, error: OSError | sqlite3.Error) -> None:
    """Raises StoreError where the error is of a place that may be read and not written."""
    forbidden = isinstance(error, OSError) and error.errno in _FORBIDDEN
    if forbidden or str(getattr(error, "sqlite_errorname", "")).startswith(_UNOPENED):
        what = f"{paths.root} cannot be written ({error}); make it writable, or go on with a copy of it"
        raise StoreError(f"{what}: sia-tui backup {paths.name} FILE, sia-tui restore FILE --workspace DIR") from error


@contextmanager
def writing(paths: RunPaths) -> Iterator[None]:
    """As `require_writable`, of whatever is done in the run meanwhile."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        require_writable(paths, error)
        raise
