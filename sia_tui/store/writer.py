"""The engine's side of run.db: events and what is projected from them, in one transaction each.

WAL with synchronous=NORMAL: a committed event survives kill -9 at any moment; a power cut may cost the last ones,
never the file.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from sia_tui.core.codec import encode
from sia_tui.core.consent import End, Row, chained, linked
from sia_tui.core.episodes import Attempt, Sampled, Score
from sia_tui.core.events import AgentCalled, EpisodeDone, Event, Recorded, VerdictGiven
from sia_tui.core.fold import advance
from sia_tui.core.machine import Usage
from sia_tui.core.state import State
from sia_tui.store.database import Database
from sia_tui.store.logged import entry, folded
from sia_tui.store.schema import migrations
from sia_tui.store.trajectories import pack
from sia_tui.store.version import APPLICATION_ID, SCHEMA_VERSION, require_sound

Said = Sequence[Mapping[str, str]]
"""What was said, in order: each with `role`, `text`, of a tool its `name`."""


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@contextmanager
def immediate(db: Database) -> Iterator[None]:
    """A transaction that takes the write lock at its start, waiting its turn. One that began by reading would be refused
    at once when a client commits a command in between, however long the timeout."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        # Some errors, a full disk among them, have rolled back already.
        if db.conn.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


@dataclass(frozen=True)
class Command:
    """What a client asks of the engine."""

    id: int
    kind: str
    by: str
    body: str
    """JSON, as the client wrote it: not to be trusted to be any."""


class RunStore:
    """The one writer of a run.db. Holds the folded state of all it has written."""

    def __init__(self, path: Path) -> None:
        """Opens or creates. Raises StoreError for a file that is damaged, foreign or newer; it stays untouched."""
        self._path = path
        if path.exists():
            require_sound(path)
        self._db = Database(sqlite3.connect(path, timeout=10.0))
        self._db.enable_wal()
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        migrations.apply(self._db)
        self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self.state: State = folded(path, self._log())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._db.close()

    def record(self, *events: Event) -> None:
        """Append events, all or none, and fold them."""
        with immediate(self._db):
            entries = [self._append(event) for event in events]
        self._fold(entries)

    def record_episode(
        self, episode: str, key: str, attempt: Attempt, score: Score, sampled: Sampled | None = None
    ) -> None:
        """A finished episode: event, row and trajectory in one transaction. A second time changes nothing."""
        tokens = sum(call.tokens for call in attempt.calls)
        with immediate(self._db):
            if self._db.table("episodes").count_where("id = ?", [episode]):
                return
            done = self._append(EpisodeDone(episode, key, attempt.case.split, tokens))
            self._db.table("episodes").insert(
                {
                    "id": episode,
                    "key": key,
                    "case_id": attempt.case.id,
                    "split": attempt.case.split,
                    "fold": attempt.case.fold,
                    "reward": score.reward,
                    "failure": score.failure,
                    "source": attempt.source,
                    "answer": attempt.answer,
                    "tokens": tokens,
                    "seconds": attempt.seconds,
                    "isolation": attempt.isolation,
                    "at": done.at,
                    **(asdict(sampled) if sampled else {}),
                }
            )
            self._db.table("trajectories").insert({"episode": episode, "body": zlib.compress(pack(attempt, score))})
        self._fold([done])

    def record_call(self, event: AgentCalled, step: int, sent: Said, said: Said, response: bytes) -> None:
        """A reply of an agent's model, in the making of step number `step`: event and texts in one transaction."""
        texts = {name: json.dumps(list(text), ensure_ascii=False) for name, text in (("sent", sent), ("said", said))}
        with immediate(self._db):
            if self._db.table("agent_calls").count_where("id = ?", [event.id]):
                return
            called = self._append(event)
            row = {"id": event.id, "at": called.at, "role": event.role, "step": step, **texts, "response": response}
            self._db.table("agent_calls").insert(row)
        self._fold([called])

    def response(self, call: str) -> bytes | None:
        """What an agent's model answered to exactly this request before."""
        rows = list(self._db.table("agent_calls").rows_where("id = ?", [call], select="response"))
        return rows[0]["response"] if rows else None

    def progress(
        self, phase: str, done: int, total: int, started_at: str, eta_s: float | None = None, note: str = ""
    ) -> None:
        """What the engine is doing right now; its `beat_at` is the heartbeat. Not part of the log."""
        row = {
            "id": 1,
            "phase": phase,
            "done": done,
            "total": total,
            "started_at": started_at,
            "eta_s": eta_s,
            "beat_at": now(),
            "note": note,
        }
        with immediate(self._db):
            self._db.table("progress").upsert(row, pk="id")

    def metrics(self, proposal: str, step: int, values: Mapping[str, float]) -> None:
        """What an optimizer step showed; one made again after a crash replaces itself. Not part of the log."""
        row = {"proposal": proposal, "step": step, "at": now(), "data": json.dumps(dict(values))}
        with immediate(self._db):
            self._db.table("metrics").upsert(row, pk=("proposal", "step"))

    def machine(self, usage: Usage) -> None:
        """What the machine does right now. Not part of the log."""
        row = {"id": 1, "at": now(), "data": json.dumps(asdict(usage))}
        with immediate(self._db):
            self._db.table("machine").upsert(row, pk="id")

    def rollouts(self, proposal: str) -> int:
        """Episodes made for a training so far."""
        return self._db.table("episodes").count_where("proposal = ?", [proposal])

    def commands(self) -> list[Command]:
        """Those not answered yet, oldest first."""
        words = ", ".join(f"cast({name} as blob)" for name in ("kind", "by", "body"))
        rows = self._db.execute(f"select id, {words} from commands where answered_at is null order by id")
        return [Command(number, *(said.decode("utf-8", "replace") for said in told)) for number, *told in rows]

    def answer(self, command: Command, ok: bool, message: str, *events: Event) -> None:
        """Answer a command and record what it caused, in one transaction."""
        with immediate(self._db):
            entries = [self._append(event) for event in events]
            answer = "update commands set answered_at = ?, ok = ?, message = ? where id = ?"
            self._db.execute(answer, [now(), int(ok), message, command.id])
        self._fold(entries)

    def _append(self, event: Event) -> Recorded:
        event = self._chained(event) if isinstance(event, VerdictGiven) else event
        kind, data = encode(event)
        at = now()
        row = {"at": at, "kind": kind, "data": json.dumps(data, ensure_ascii=False)}
        seq = int(str(self._db.table("events").insert(row).last_pk))
        [before] = self._db.execute("select seq, digest from log_end")
        end = linked(End(*before), Row(seq, at, kind, row["data"]))
        self._db.execute("update log_end set seq = ?, digest = ?", (end.seq, end.digest))
        return Recorded(seq, at, event)

    def _chained(self, given: VerdictGiven) -> VerdictGiven:
        """Bound to its gate and to the log before it."""
        asked = next((gate.hash for gate in self.state.gates if gate.id == given.verdict.gate), "")
        last = "select coalesce(max(seq), 0) from events where kind = 'VerdictGiven'"
        rows = self._db.execute(f"select seq, at, kind, data from events where seq >= ({last}) order by seq")
        uid = os.getuid() if given.uid is None else given.uid
        return replace(given, uid=uid, hash=asked, before=chained(Row(*row) for row in rows))

    def _fold(self, entries: list[Recorded]) -> None:
        for made in entries:
            self.state = advance(self.state, made)

    def _log(self) -> list[Recorded]:
        rows = self._db.table("events").rows_where(order_by="seq")
        return [entry(self._path, row) for row in rows]
