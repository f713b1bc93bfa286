"""The tables of run.db, as sqlite-utils migrations. Only a writer imports this."""

from __future__ import annotations

from sia_tui.core.consent import NO_END, Row, linked
from sia_tui.store.database import Database, Migrations

migrations = Migrations("sia_tui.run")


@migrations()
def create_tables(db: Database) -> None:
    db.table("events").create({"seq": int, "at": str, "kind": str, "data": str}, pk="seq", strict=True)
    db.table("episodes").create(
        {
            "id": str,
            "key": str,
            "case_id": str,
            "split": str,
            "fold": int,
            "reward": float,
            "failure": str,
            "source": str,
            "answer": str,
            "tokens": int,
            "seconds": float,
            "isolation": str,
            "at": str,
        },
        pk="id",
        strict=True,
    )
    db.table("episodes").create_index(["key", "split"])
    db.table("trajectories").create({"episode": str, "body": bytes}, pk="episode", strict=True)
    db.table("commands").create(
        {"id": int, "at": str, "by": str, "kind": str, "body": str, "answered_at": str, "ok": int, "message": str},
        pk="id",
        strict=True,
    )
    db.table("progress").create(
        {
            "id": int,
            "phase": str,
            "done": int,
            "total": int,
            "started_at": str,
            "eta_s": float,
            "beat_at": str,
            "note": str,
        },
        pk="id",
        strict=True,
    )


@migrations()
def add_training(db: Database) -> None:
    """Episodes know where in a training they were made; a row of metrics per optimizer step."""
    for name, kind in {"proposal": str, "purpose": str, "step": int, "sample": int}.items():
        db.table("episodes").add_column(name, kind)
    db.table("episodes").create_index(["proposal", "step"])
    db.table("metrics").create(
        {"proposal": str, "step": int, "at": str, "data": str}, pk=("proposal", "step"), strict=True
    )


@migrations()
def add_agent_calls(db: Database) -> None:
    """What agents' models were sent and said, whole; `response` is what an interrupted task goes on from."""
    columns = {"id": str, "at": str, "role": str, "step": int, "sent": str, "said": str, "response": bytes}
    db.table("agent_calls").create(columns, pk="id", strict=True)


@migrations()
def add_machine(db: Database) -> None:
    """What the machine does right now, beside the progress."""
    db.table("machine").create({"id": int, "at": str, "data": str}, pk="id", strict=True)


@migrations()
def index_the_log(db: Database) -> None:
    """Clients read every event but the episodes, which are nearly all of a long run's: found without passing over those."""
    db.execute("create index told on events (seq) where kind != 'EpisodeDone'")


@migrations()
def add_end(db: Database) -> None:
    """What the log ends with (`core/consent.py`), so that no change of its last rows is unseen."""
    db.table("log_end").create({"id": int, "seq": int, "digest": str}, pk="id", strict=True)
    end = NO_END
    for row in db.execute("select seq, at, kind, data from events order by seq"):
        end = linked(end, Row(*row))
    db.table("log_end").insert({"id": 1, "seq": end.seq, "digest": end.digest})
