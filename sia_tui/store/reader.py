"""The clients' side of run.db: standard library only, read-only but for the commands a client appends."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sia_tui.core.consent import Written
from sia_tui.core.digest import Digest, digest
from sia_tui.core.episodes import Attempt, Score
from sia_tui.core.events import EpisodeDone, Recorded, RunCreated
from sia_tui.core.machine import Usage, usage_from
from sia_tui.core.spending import Stretch, stretches
from sia_tui.core.spent import Cost
from sia_tui.core.state import State
from sia_tui.core.text import is_text
from sia_tui.store.connection import Connection
from sia_tui.store.logged import entry, folded, written
from sia_tui.store.trajectories import unpack
from sia_tui.store.version import StoreError, open_readonly
from sia_tui.store.workspace import RunPaths
from sia_tui.store.writable import require_writable


@dataclass(frozen=True)
class Progress:
    phase: str
    done: int
    total: int
    started_at: str
    eta_s: float | None
    beat_at: str
    note: str


@dataclass(frozen=True)
class Reading:
    """What the machine did at one moment."""

    at: str
    usage: Usage


@dataclass(frozen=True)
class EpisodeRow:
    id: str
    key: str
    case_id: str
    split: str
    fold: int | None
    reward: float
    failure: str | None
    source: str
    answer: str | None
    tokens: int
    seconds: float
    isolation: str
    proposal: str | None
    """Set when it was rolled out for a training, as are the three that follow."""
    purpose: str | None
    step: int | None
    sample: int | None
    at: str
    """When it was recorded."""


@dataclass(frozen=True)
class Tally:
    """Finished episodes, counted."""

    newest: int
    """Row number of the newest one, to count on from."""
    episodes: int
    tokens: int
    last_at: str


@dataclass(frozen=True)
class Spent:
    """Finished episodes of one kind, counted."""

    split: str
    purpose: str | None
    """Of a training's rollouts; None for what measures a harness."""
    episodes: int
    tokens: int


@dataclass(frozen=True)
class Metrics:
    """One optimizer step of a training: values by name, such as reward, held_out, useful, entropy, loss."""

    step: int
    at: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class AgentCall:
    """One request to an agent's model and the reply, as people read them."""

    id: str
    at: str
    role: str
    step: int
    """In the making of which step, from 1; 0: the first harness."""
    sent: tuple[Mapping[str, str], ...]
    """What was new since the last reply: each with `role`, `text`, of a tool its `name`."""
    said: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class Answer:
    ok: bool
    message: str


class RunReader(Connection):
    """One client's view of a run. Cheap to open; every method sees the newest commit."""

    def state(self) -> State:
        """The fold of the log. Episodes are counted by SQL: the same cost in a tenth of the time."""
        return counted(folded(self._path, self.log()), self.tally())

    def written(self) -> Written:
        """The log as it is."""
        return written(self._rows)

    def run(self) -> str:
        """Its name, as it was created; empty where that cannot be told."""
        rows = self._rows("select data from events where kind = ? order by seq limit 1", [RunCreated.__name__])
        try:
            return str(json.loads(rows[0]["data"])["run"])
        except (ValueError, LookupError, TypeError):
            return ""

    def agent_calls(self, after: str = "") -> list[AgentCall]:
        """Those made at or later than a time, oldest first."""
        if not self._rows("select 1 from sqlite_master where name = 'agent_calls'"):
            return []
        columns = "id, at, role, step, sent, said"
        rows = self._rows(f"select {columns} from agent_calls where at >= ? order by at, rowid", (after,))
        return [AgentCall(**{**row, "sent": _said(row["sent"]), "said": _said(row["said"])}) for row in rows]

    def episodes_since(self, at: str) -> tuple[int, int]:
        """Finished episodes recorded after a time, and their tokens."""
        row = self._rows("select count(*) n, coalesce(sum(tokens), 0) t from episodes where at > ?", [at])[0]
        return row["n"], row["t"]

    def digest(self, since: str | None) -> Digest:
        """What happened after a time (ISO 8601, UTC; None: since its beginning). Raises StoreError, ValueError."""
        entries = self.log()
        before = folded(self._path, (entry for entry in entries if since is not None and entry.at <= since))
        after = folded(self._path, (entry for entry in entries if since is None or entry.at > since), before)
        episodes, tokens = self.episodes_since(since or "")
        costs = {name: self._counted(found) for name, found in stretches(entries).items()}
        return digest(replace(before, last_at=since), counted(after, self.tally()), tokens, episodes, costs)

    def _counted(self, found: Stretch) -> Cost:
        """What a step has cost, with the tokens of its episodes."""
        query = "select coalesce(sum(tokens), 0) from episodes where at > ? and at <= ?"
        return replace(found.cost, tokens=self._rows(query, [found.began, found.ended])[0][0])

    def version(self) -> int:
        """A number that is another one whenever somebody has written since."""
        counted = int(self._rows("pragma data_version")[0][0])
        return self._opened << 32 | counted

    def tally(self, after: int = 0) -> Tally:
        """The episodes recorded after the row with this number."""
        query = (
            "select max(rowid) r, count(*) n, coalesce(sum(tokens), 0) t, max(at) last from episodes where rowid > ?"
        )
        sums = self._rows(query, [after])[0]
        return Tally(sums["r"] or after, sums["n"], sums["t"], sums["last"] or "")

    def spent(self) -> list[Spent]:
        """All finished episodes, by what they were made for."""
        query = "select split, purpose, count(*) n, sum(tokens) t from episodes group by split, purpose order by 2, 1"
        return [Spent(row["split"], row["purpose"], row["n"], row["t"]) for row in self._rows(query)]

    def log(self, after: int = 0) -> list[Recorded]:
        """Every event but the episodes, oldest first, from the one that follows sequence number `after`."""
        query = f"select * from events where kind != '{EpisodeDone.__name__}' and seq > ? order by seq"
        rows = self._rows(query, [after])
        return [entry(self._path, row) for row in rows]

    def timeline(self) -> list[tuple[str, str]]:
        """When something was recorded, and the kind of event it was, oldest first."""
        rows = self._rows("select at, kind from events union all select at, 'metrics' from metrics order by 1")
        return [(row["at"], row["kind"]) for row in rows]

    def progress(self) -> Progress | None:
        rows = self._rows("select phase, done, total, started_at, eta_s, beat_at, note from progress")
        return Progress(**dict(rows[0])) if rows else None

    def machine(self) -> Reading | None:
        """The newest reading; None before the first, and of runs from before there were any."""
        if not self._rows("select 1 from sqlite_master where name = 'machine'"):
            return None
        rows = self._rows("select at, data from machine")
        return Reading(rows[0]["at"], usage_from(json.loads(rows[0]["data"]))) if rows else None

    def episodes(self, key: str, split: str | None = None) -> list[EpisodeRow]:
        """Finished episodes of the generation with this key, by case id."""
        where, values = "key = ?", [key]
        if split is not None:
            where, values = f"{where} and split = ?", [key, split]
        names = ", ".join(EpisodeRow.__dataclass_fields__)
        rows = self._rows(f"select {names} from episodes where {where} order by case_id, id", values)
        return [EpisodeRow(*row) for row in rows]

    def sampled(self, proposal: str, purpose: str | None = None) -> list[EpisodeRow]:
        """Finished episodes rolled out for a training, in the order they finished."""
        names = ", ".join(EpisodeRow.__dataclass_fields__)
        where, values = (
            ("proposal = ?", [proposal]) if purpose is None else ("proposal = ? and purpose = ?", [proposal, purpose])
        )
        return [
            EpisodeRow(*row) for row in self._rows(f"select {names} from episodes where {where} order by rowid", values)
        ]

    def recent(self, after: int, upto: int, limit: int) -> list[EpisodeRow]:
        """The newest of the episodes with row numbers above `after`, up to `upto`; oldest first."""
        names = ", ".join(EpisodeRow.__dataclass_fields__)
        query = f"select {names} from episodes where rowid > ? and rowid <= ? order by rowid desc limit ?"
        return [EpisodeRow(*row) for row in reversed(self._rows(query, [after, upto, limit]))]

    def metrics(self, proposal: str, after: int = -1, since: str = "") -> list[Metrics]:
        """The steps of a training that follow step `after` and were written at `since` or later."""
        query = "select step, at, data from metrics where proposal = ? and step > ? and at >= ? order by step"
        rows = self._rows(query, [proposal, after, since])
        return [Metrics(row["step"], row["at"], json.loads(row["data"])) for row in rows]

    def trainings(self) -> list[tuple[str, int]]:
        """Every training with its last step, the oldest first."""
        rows = self._rows("select proposal, max(step) last from metrics group by proposal order by min(at)")
        return [(row["proposal"], row["last"]) for row in rows]

    def trajectory(self, episode: str) -> tuple[Attempt, Score] | None:
        rows = self._rows("select body from trajectories where episode = ?", [episode])
        return unpack(rows[0]["body"]) if rows else None

    def trajectories(self, key: str, split: str) -> Iterator[tuple[str, Attempt, Score]]:
        """Every trajectory of a generation on a split, whole, by episode id."""
        yield from self._whole("e.key = ? and e.split = ? order by e.id", [key, split])

    def rollouts(self, proposal: str) -> Iterator[tuple[str, Attempt, Score]]:
        """Every trajectory made for a step's pilot and training, whole, in the order they finished."""
        yield from self._whole("e.proposal = ? order by e.rowid", [proposal])

    def _whole(self, where: str, values: Sequence[str]) -> Iterator[tuple[str, Attempt, Score]]:
        query = f"select e.id, t.body from episodes e join trajectories t on t.episode = e.id where {where}"
        for row in self._rows(query, list(values)):
            attempt, score = unpack(row["body"])
            yield row["id"], attempt, score

    def answer_to(self, command: int) -> Answer | None:
        rows = self._rows("select ok, message from commands where id = ? and answered_at is not null", [command])
        return Answer(bool(rows[0]["ok"]), rows[0]["message"]) if rows else None


def _said(text: str) -> tuple[Mapping[str, str], ...]:
    return tuple(json.loads(text))


def counted(state: State, tally: Tally) -> State:
    """A state folded without its episodes, with them."""
    passed = 0.0 if state.idle else _seconds_between(state.last_at, tally.last_at)
    worked = state.cost.worked(passed, state.gpus)
    cost = replace(worked, tokens=tally.tokens, episodes=tally.episodes)
    return replace(state, cost=cost, last_at=max(state.last_at or "", tally.last_at))


def append_command(path: Path, kind: str, by: str, body: Mapping[str, Any]) -> int:
    """Ask the engine for something; its answer comes with `answer_to`. Raises StoreError."""
    said = json.dumps({"uid": os.getuid(), **body}, ensure_ascii=False)
    if not is_text(said):
        raise StoreError(f"{kind}: half a character in what is said; say it in UTF-8")
    open_readonly(path).close()
    connection = sqlite3.connect(path, timeout=5.0)
    try:
        with connection:
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            values = (at, by, kind, said)
            cursor = connection.execute("insert into commands (at, by, kind, body) values (?, ?, ?, ?)", values)
            return int(cursor.lastrowid or 0)
    except sqlite3.Error as error:
        require_writable(RunPaths(path.parent), error)
        raise StoreError(f"{path}: the command could not be written ({error})") from error
    finally:
        connection.close()


def _seconds_between(start: str | None, end: str | None) -> float:
    if not start or not end or end <= start:
        return 0.0
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
