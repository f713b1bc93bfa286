"""A log that was changed after a yes is found out, by `audit` and by the engine that would go on with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sia_tui.cli.main import main
from sia_tui.engine.prepare import require_consent
from sia_tui.engine.session import EngineError
from sia_tui.store.reader import RunReader
from tests.tui.runs import make_run

FIRST = "kind = 'VerdictGiven' and seq = (select min(seq) from events where kind = 'VerdictGiven')"
RENUMBERED = (
    "create temp table n as select seq, row_number() over (order by seq) r from events",
    "update events set seq = -(select r from n where n.seq = events.seq)",
    "update events set seq = -seq",
)


def changed(folder: Path, *statements: str) -> Path:
    paths = make_run(folder / "w" / "runs" / "r", "done")
    with closing(sqlite3.connect(paths.db)) as db, db:
        for statement in statements:
            db.execute(statement)
    return paths.db


def audited(folder: Path) -> int:
    return main(["audit", "r", "--workspace", str(folder / "w")])


def test_a_log_says_who_said_yes_to_what_and_when(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = changed(tmp_path)
    assert audited(tmp_path) == 0
    told = capsys.readouterr().out
    assert told.count("approve") == 3 and "gate-4  reject   ana" in told and "as it was" in told
    require_consent(cast(Any, SimpleNamespace(reader=RunReader(db))))


CHANGES = {
    "proposal": (
        ["update events set data = replace(data, 'Show the 10', 'Show the 99') where kind = 'ProposalMade'"],
        "not what was asked",
    ),
    "who": ([f"update events set data = replace(data, '\"ana\"', '\"bob\"') where {FIRST}"], "is not what it was"),
    "score": (
        ["update events set data = replace(data, '796', '797') where kind = 'Measured'"],
        "is not what it was",
    ),
    "the newest verdict": (
        ["update events set data = replace(data, '\"reject\"', '\"approve\"') where kind = 'VerdictGiven'"],
        "since the newest verdict, or itself, is not what it was",
    ),
    "the newest verdict gone": (
        ["delete from events where seq >= (select max(seq) from events where kind = 'VerdictGiven')"],
        "since the newest verdict, or itself, is not what it was",
    ),
    "what came after": (
        ["update events set data = json_set(data, '$.why', 'else') where seq = (select max(seq) from events)"],
        "since the newest verdict, or itself, is not what it was",
    ),
    "verdict gone": ([f"delete from events where {FIRST}"], "is missing"),
    "verdict gone and renumbered": ([f"delete from events where {FIRST}", *RENUMBERED], "nobody said yes to"),
    "gate": (
        ["update events set data = replace(data, '\"config\": ', '\"conf\": ') where kind = 'GateOpened'"],
        "not that of its parts",
    ),
    "made before the yes": (
        [
            f"create temp table a as select min(seq) seq from events where {FIRST}",
            "create temp table b as select min(seq) seq from events where kind = 'GenerationCreated' and "
            "json_extract(data, '$.proposal') is not null",
            "update events set seq = -1 where seq = (select seq from a)",
            "update events set seq = (select seq from a) where seq = (select seq from b)",
            "update events set seq = (select seq from b) where seq = -1",
        ],
        "which nobody said yes to before",
    ),
    "a yes to a result alone": (
        ["update events set data = json_set(data, '$.gate.kind', 'keep') where kind = 'GateOpened'"],
        "nobody said yes to before",
    ),
    "link gone": (
        [f"update events set data = json_remove(data, '$.before') where not ({FIRST}) and kind = 'VerdictGiven'"],
        "not chained",
    ),
    "garbled": ([f"update events set data = substr(data, 2) where {FIRST}"], "cannot be read"),
    "another thing": (["update events set data = '7' where kind = 'GateOpened'"], "cannot be read"),
    "half gone": ([f"update events set data = json_remove(data, '$.verdict.by') where {FIRST}"], "cannot be read"),
}


@pytest.mark.parametrize(("statements", "said"), CHANGES.values(), ids=CHANGES)
def test_what_was_changed_is_named_and_not_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], statements: list[str], said: str
) -> None:
    db = changed(tmp_path, *statements)
    assert audited(tmp_path) == 1
    assert said in capsys.readouterr().out
    with pytest.raises(EngineError, match="the log was changed"):
        require_consent(cast(Any, SimpleNamespace(reader=RunReader(db), state=SimpleNamespace(run="r"))))


def test_verdicts_of_earlier_versions_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    links = ", ".join(f"'$.{name}'" for name in ("before", "hash", "uid", "seen"))
    changed(
        tmp_path,
        f"update events set data = json_remove(data, {links}) where kind = 'VerdictGiven'",
        "drop table log_end",
    )
    assert audited(tmp_path) == 0
    assert "no (earlier version)" in capsys.readouterr().out
