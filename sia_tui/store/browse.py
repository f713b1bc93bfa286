"""Looking through a run's episodes without loading them: row numbers by a filter, rows by their numbers."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sia_tui.store.connection import Connection
from sia_tui.store.reader import EpisodeRow
from sia_tui.store.search import FILE, match
from sia_tui.store.version import StoreError

Part = Literal["train", "dev", "training"]
"""`train` and `dev`: episodes that measure a generation. `training`: those rolled out to make or judge weights."""
Outcome = Literal["right", "wrong", "error"]
"""`error`: the harness failed (exception, timeout, crash, an answer of the wrong kind)."""

_OPEN = "split in ('train', 'dev')"
_ERRORS = "('exception', 'timeout', 'crash', 'bad_answer')"
_PARTS = {"training": "proposal is not null"}
_OUTCOMES = {
    "right": "failure is null",
    "wrong": f"failure is not null and failure not in {_ERRORS}",
    "error": f"failure in {_ERRORS}",
}
_SHOWN = "instr(lower(case_id || ' ' || coalesce(failure, '') || ' ' || coalesce(answer, '')), ?)"
_INDEX = "sought"
_NAMES = ", ".join(EpisodeRow.__dataclass_fields__)
_MOST_KINDS = 200
"""A verifier of one's own may name a failure as it likes."""


@dataclass(frozen=True)
class Wanted:
    """Which episodes to show."""

    sealed: bool = True
    """Leave out hidden and test, whatever else is asked for: nobody looks at them before the run is over."""
    part: Part | None = None
    outcome: Outcome | None = None
    failure: str | None = None
    """The kind, as the verifier or the harness' error names it."""
    least: float | None = None
    most: float | None = None
    """Bounds of the reward, both of them in it."""
    key: str | None = None
    """Of one generation."""
    text: str = ""
    """Found in the case id, the failure or the answer, and where there is an index anywhere in the trajectory."""

    @property
    def everything(self) -> Wanted:
        """Whatever may be shown."""
        return Wanted(sealed=self.sealed)

    def where(self, indexed: bool = False) -> tuple[str, list[str | float]]:
        conditions: list[str] = [_OPEN] if self.sealed else []
        values: list[str | float] = []
        if self.part is not None:
            conditions.append(_PARTS.get(self.part) or "proposal is null and split = ?")
            values += [] if self.part in _PARTS else [self.part]
        if self.outcome is not None:
            conditions.append(_OUTCOMES[self.outcome])
        # No index: the list asks for what came after a row, and one of these columns would be read from its beginning.
        for condition, value in (
            ("failure = ?", self.failure),
            ("reward >= ?", self.least),
            ("reward <= ?", self.most),
            ("key = ?", self.key),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        if self.text:
            sought, words = _SHOWN, match(self.text) if indexed else ""
            values.append(self.text.lower())
            if words:
                sought = f"{sought} or rowid in (select rowid from {_INDEX}.texts where words match ?)"
                values.append(words)
            conditions.append(sought)
        return " and ".join(f"({condition})" for condition in conditions) or "true", values


class Browser(Connection):
    """One client's look at the episodes of a run. A connection of its own: open it in the thread that uses it."""

    def numbers(self, wanted: Wanted, after: int = 0) -> array[int]:
        """Row numbers above `after` of the episodes that fit, oldest first: eight bytes each."""
        if wanted.text:
            # An index that is damaged or not ours to read is as good as none.
            with suppress(StoreError):
                return self._numbers(wanted, after, self._indexed())
        return self._numbers(wanted, after, False)

    def _numbers(self, wanted: Wanted, after: int, indexed: bool) -> array[int]:
        where, values = wanted.where(indexed)
        query = f"select rowid from episodes where rowid > ? and {where} order by rowid"
        return array("q", (row[0] for row in self._rows(query, [after, *values])))

    def kinds(self, wanted: Wanted) -> list[tuple[str, int]]:
        """How the wanted episodes fail, whatever failure is wanted, and how often; the commonest first."""
        where, values = replace(wanted, failure=None).where()
        query = f"select failure, count(*) n from episodes where failure is not null and {where} group by failure"
        found = self._rows(f"{query} order by n desc, failure limit {_MOST_KINDS}", values)
        return [(row["failure"], row["n"]) for row in found]

    def _indexed(self) -> bool:
        """Whether there is an index to search, attached. Raises StoreError for one that cannot be read."""
        index = self._path.with_name(FILE)
        if any(row["name"] == _INDEX for row in self._rows("pragma database_list")):
            return True
        if not index.is_file():
            return False
        self._rows(f"attach database ? as {_INDEX}", [f"{index.resolve().as_uri()}?mode=ro"])
        return bool(self._rows(f"select 1 from {_INDEX}.sqlite_master where name = 'texts'"))

    def rows(self, numbers: Sequence[int]) -> dict[int, EpisodeRow]:
        """The episodes with these row numbers, by number."""
        marks = ", ".join("?" * len(numbers))
        found = self._rows(f"select rowid, {_NAMES} from episodes where rowid in ({marks})", list(numbers))
        return {row["rowid"]: _row(row) for row in found}

    def by_id(self, episodes: Sequence[str], sealed: bool = True) -> list[EpisodeRow]:
        """Those of these episodes that are there, in the order given; `sealed` leaves out hidden and test."""
        marks = ", ".join("?" * len(episodes))
        query = f"select {_NAMES} from episodes where id in ({marks}) and {_OPEN if sealed else 'true'}"
        found = {row["id"]: _row(row) for row in self._rows(query, episodes)}
        return [found[episode] for episode in episodes if episode in found]

    def of_cases(self, cases: Sequence[str]) -> dict[str, EpisodeRow]:
        """The newest episode on each of these train or dev cases, made by a generation or a preview; on dev not one that
        was measured again or without a part of a patch."""
        marks = ", ".join("?" * len(cases))
        query = (
            f"select {_NAMES}, max(rowid) from episodes where case_id in ({marks}) and proposal is null and {_OPEN} "
            "and (split = 'train' or key in (select json_extract(data, '$.key') from events "
            "where kind = 'GenerationCreated')) group by case_id"
        )
        return {row["case_id"]: _row(row) for row in self._rows(query, cases)}

    def on_case(self, case: str, sealed: bool = True) -> list[EpisodeRow]:
        """Every episode on a case that measured a generation or a preview, oldest first."""
        query = (
            f"select {_NAMES} from episodes where case_id = ? and proposal is null and {_OPEN if sealed else 'true'}"
        )
        return [_row(row) for row in self._rows(f"{query} order by rowid", [case])]

    def seconds(self, key: str, split: str) -> float | None:
        """How long a generation took over a split, from its first episode to its last."""
        query = "select min(at), max(at) from episodes where key = ? and split = ? and proposal is null"
        first, last = self._rows(query, [key, split])[0]
        if first is None:
            return None
        return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def _row(row: sqlite3.Row) -> EpisodeRow:
    return EpisodeRow(**{name: row[name] for name in EpisodeRow.__dataclass_fields__})
