"""Rows of a log as events, and events as a state; what this version cannot read is one line. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sia_tui.core.codec import decode
from sia_tui.core.consent import End, Row, Written
from sia_tui.core.events import Recorded
from sia_tui.core.fold import fold
from sia_tui.core.state import State
from sia_tui.store.version import StoreError

_ODD = (ValueError, LookupError, TypeError, AttributeError, StopIteration, AssertionError)
"""What comes of JSON that is another than was written, or of events in another order."""


def written(rows: Callable[[str], Iterable[Any]]) -> Written:
    """Of one commit: in one statement."""
    told = "select seq, at, kind, data from events"
    if list(rows("select 1 from sqlite_master where name = 'log_end'")):
        told = f"{told} union all select seq, '', '', digest from log_end"
    found = [Row(**row) for row in rows(f"select * from ({told}) order by kind = '', seq")]
    last = found.pop() if found and not found[-1].kind else None
    return Written(found, End(last.seq, last.data) if last else None)


def entry(path: Path, row: Any) -> Recorded:
    """Raises StoreError."""
    try:
        return Recorded(row["seq"], row["at"], decode(row["kind"], json.loads(row["data"])))
    except _ODD as error:
        raise StoreError(
            f"{path}: event {row['seq']} cannot be read ({error or type(error).__name__}); it was left as it is: "
            "upgrade sia-tui, or restore the run from a backup"
        ) from error


def folded(path: Path, entries: Iterable[Recorded], before: State | None = None) -> State:
    """`before`: of the entries that came before these. Raises StoreError."""
    try:
        return fold(entries, before)
    except _ODD as error:
        raise StoreError(
            f"{path}: its events do not make a run ({type(error).__name__}: {error}); it was left as it is: "
            "restore the run from a backup"
        ) from error
