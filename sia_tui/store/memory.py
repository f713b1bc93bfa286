"""What runs have learned of a task, and what people made of it: the part of workspace.db that agents are told.

What was learned is a copy and can be made again from the runs; notes and strikes are a person's, are kept apart, and
survive that. Standard library only: a reading verb reads it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from sia_tui.core.codec import build
from sia_tui.core.forecast import Forecast
from sia_tui.core.pulls import Pull
from sia_tui.core.recall import Cluster, Constraint, Idea, Item, Memory, memory_of, note, recall
from sia_tui.core.state import State, blind
from sia_tui.store.version import StoreError, connected, made_private
from sia_tui.store.workspace import Workspace

_KINDS = {kind.__name__: kind for kind in (Idea, Cluster, Constraint, Forecast, Pull)}
_TABLES = (
    "create table if not exists learned (task text, run text, split text, kind text, id text, data text, "
    "primary key (task, run, kind, id)) strict",
    "create table if not exists notes (task text, id text, data text, primary key (task, id)) strict",
    "create table if not exists struck (task text, id text, primary key (task, id)) strict",
)


@dataclass(frozen=True)
class Edits:
    """A person's part."""

    notes: Memory
    struck: frozenset[str]
    """Ids of what agents are not to be told."""


def learned(path: Path, task: str, split: str | None = None, but: str = "") -> Memory:
    """What the runs of a task learned, all but the run `but`; given a `split` hash, only those that ran on that split.
    Raises StoreError."""
    where, values = "task = ? and run != ?", [task, but]
    if split is not None:
        where, values = f"{where} and split = ?", [*values, split]
    rows = _rows(path, "learned", "kind, data", where, values)
    return memory_of(task, [build(_KINDS[kind], json.loads(data)) for kind, data in rows if kind in _KINDS])


def edits(path: Path, task: str) -> Edits:
    """Raises StoreError."""
    notes = _rows(path, "notes", "data", "task = ?", [task])
    struck = _rows(path, "struck", "id", "task = ?", [task])
    return Edits(
        memory_of(task, [build(Constraint, json.loads(data)) for (data,) in notes]),
        frozenset(name for (name,) in struck),
    )


def remember(path: Path, state: State) -> None:
    """Put what a run has taught in the place of what it had taught before. Raises StoreError."""
    with _writing(path) as db:
        _put(db, state)


def rebuild(workspace: Workspace, task: str, states: Iterable[State]) -> int:
    """What was learned of a task, again from its runs' `states` and nothing else; returns how many runs that were.
    Raises StoreError."""
    mine = [state for state in states if state.task == task]
    with _writing(workspace.db) as db:
        db.execute("delete from learned where task = ?", [task])
        for state in mine:
            _put(db, state)
    return len(mine)


def add_note(path: Path, task: str, text: str, by: str, at: str) -> Constraint:
    """A person's word to the agents of a task; one that was struck out before is told again. Raises StoreError."""
    made = note(task, text, by, at)
    with _writing(path) as db:
        db.execute("insert or ignore into notes values (?, ?, ?)", [task, made.id, _json(made)])
        db.execute("delete from struck where task = ? and id = ?", [task, made.id])
    return made


def strike(path: Path, task: str, ids: Iterable[str]) -> None:
    """Leave these out of what agents are told, from now on. Raises StoreError."""
    with _writing(path) as db:
        db.executemany("insert or ignore into struck values (?, ?)", [(task, name) for name in ids])


def restore(path: Path, task: str, ids: Iterable[str]) -> None:
    """Tell agents of these again. Raises StoreError."""
    with _writing(path) as db:
        db.executemany("delete from struck where task = ? and id = ?", [(task, name) for name in ids])


def _put(db: sqlite3.Connection, state: State) -> None:
    split = state.task_ready.split_hash if state.task_ready else ""
    db.execute("delete from learned where task = ? and run = ?", [state.task, state.run])
    db.executemany(
        "insert into learned values (?, ?, ?, ?, ?, ?)",
        [
            (state.task, state.run, split, type(item).__name__, item.id, _json(item))
            for item in recall(blind(state)).items
        ],
    )


def _json(item: Item) -> str:
    return json.dumps(asdict(item), default=dict)


def _rows(path: Path, table: str, columns: str, where: str, values: list[str]) -> list[tuple[str, ...]]:
    """No rows where nothing was ever written."""
    if not path.is_file():
        return []
    try:
        connection = connected(path)
        try:
            if not connection.execute("select 1 from sqlite_master where name = ?", [table]).fetchall():
                return []
            return connection.execute(f"select {columns} from {table} where {where}", values).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be read ({error}); it was left as it is") from error


@contextmanager
def _writing(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction that holds the write lock from its start."""
    made_private(path)
    try:
        connection = sqlite3.connect(path, timeout=10.0, isolation_level=None)
        try:
            connection.execute("pragma journal_mode=wal")
            connection.execute("begin immediate")
            for table in _TABLES:
                connection.execute(table)
            yield connection
            connection.execute("commit")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be written ({error}); it was left as it is") from error
