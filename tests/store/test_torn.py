"""A run.db that is copied while it is written, torn, forged, or of another version: read as far as it is whole, or one line."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_tui.core.events import KINDS, EpisodeDone, Recorded
from sia_tui.store.copying import snapshot
from sia_tui.store.reader import RunReader
from sia_tui.store.soundness import checks
from sia_tui.store.version import StoreError
from sia_tui.store.writer import RunStore
from tests.core.story import tell_story
from tests.store.test_run_store import ATTEMPT, SCORE

SIDES = ("run.db", "run.db-wal")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Recorded]]:
    """The files of a store that is open, with a part of it in the WAL; and its log."""
    root = tmp_path_factory.mktemp("live")
    (root / "open").mkdir()
    with RunStore(root / "open" / "run.db") as store:
        log = [entry.event for entry in tell_story(lambda options: options[0])]
        store.record(*log[:20])
        store._db.execute("pragma wal_checkpoint(truncate)")
        store.record(*log[20:])
        for number in range(6):
            store.record_episode(f"late-{number}", "k", ATTEMPT, SCORE)
        for side in SIDES:
            shutil.copy(root / "open" / side, root / side)
        return root, list(store._log())


def require_beginning(found: Sequence[Recorded], whole: Sequence[Recorded], others: int) -> None:
    """All but so many events are those with which the whole log begins."""
    assert len(found) <= len(whole)
    assert sum(one != other for one, other in zip(found, whole, strict=False)) <= others


@settings(max_examples=30)
@given(st.sampled_from(SIDES), st.floats(0, 1), st.booleans(), st.integers(1, 255))
def test_a_torn_copy_is_a_beginning_of_the_log_or_one_line(
    live: tuple[Path, list[Recorded]],
    tmp_path_factory: pytest.TempPathFactory,
    side: str,
    place: float,
    cut: bool,
    flip: int,
) -> None:
    """A byte that flips in the WAL cuts it off there. In the file itself nobody knows it, where it falls into an event's own
    text: that one event is another, and only the chain of verdicts tells (`audit`)."""
    root, log = live
    others = 0 if cut or side != "run.db" else 1
    copy = tmp_path_factory.mktemp("copy")
    for name in SIDES:
        shutil.copy(root / name, copy / name)
    content = bytearray((copy / side).read_bytes())
    at = int(place * (len(content) - 1))
    content[at] ^= flip
    (copy / side).write_bytes(content[:at] if cut else content)
    db = copy / "run.db"
    try:
        with closing(RunReader(db)) as reader:
            reader.state()
            require_beginning(reader.log(), [one for one in log if not isinstance(one.event, EpisodeDone)], others)
    except StoreError as error:
        assert str(error).startswith(str(db)) and "\n" not in str(error)
    before = db.read_bytes()
    try:
        with RunStore(db) as store:
            require_beginning(store._log(), log, others)
    except StoreError as error:
        assert str(error).startswith(str(db)) and "\n" not in str(error)
        assert db.read_bytes() == before
    found, _ = checks(db)
    assert found and all(check.told or check.level == "ok" for check in found)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=30)
@given(
    st.sampled_from([*sorted(KINDS), "Unheard", ""]),
    JSON.map(json.dumps) | st.text(max_size=12),
    st.integers(1, 30),
)
def test_an_event_of_another_version_is_one_line_for_reader_and_engine(
    live: tuple[Path, list[Recorded]], tmp_path_factory: pytest.TempPathFactory, kind: str, data: str, seq: int
) -> None:
    db = tmp_path_factory.mktemp("odd") / "run.db"
    shutil.copy(live[0] / "run.db", db)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(
            "insert or replace into events values (?, '2026-01-01T00:00:00+00:00', ?, ?)", [seq, kind, data]
        )
    said = list[str]()
    for use in (read, engine):
        try:
            use(db)
        except StoreError as error:
            said.append(str(error))
    assert all(line.startswith(str(db)) and "\n" not in line for line in said)
    if kind not in KINDS:
        assert len(said) == 2 and "upgrade sia-tui" in said[0]


def read(db: Path) -> None:
    with closing(RunReader(db)) as reader:
        reader.state()


def engine(db: Path) -> None:
    with RunStore(db):
        pass


def test_a_snapshot_is_whole_and_never_written_over_anything(live: tuple[Path, list[Recorded]], tmp_path: Path) -> None:
    for name in SIDES:
        shutil.copy(live[0] / name, tmp_path / name)
    snapshot(tmp_path / "run.db", tmp_path / "copy.db")
    found, state = checks(tmp_path / "copy.db")
    assert state is not None and [check.level for check in found][:2] == ["ok", "ok"]
    with pytest.raises(FileExistsError):
        snapshot(tmp_path / "run.db", tmp_path / "copy.db")
    with pytest.raises(StoreError, match="no such run"):
        snapshot(tmp_path / "gone.db", tmp_path / "other.db")


def test_time_that_goes_back_is_told_and_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was set back: events keep their order by number, and the run has worked no negative time."""
    times = iter([f"2026-01-01T{hour:02d}:00:00+00:00" for hour in (10, 11, 3, 4)])
    monkeypatch.setattr("sia_tui.store.writer.now", lambda: next(times))
    log: Any = [entry.event for entry in tell_story(lambda options: options[0])][:4]
    with RunStore(tmp_path / "run.db") as store:
        for event in log:
            store.record(event)
        assert store.state.cost.wall_s == 3600
    with closing(RunReader(tmp_path / "run.db")) as reader:
        assert [type(entry.event) for entry in reader.log()] == [type(event) for event in log]
        assert reader.state().cost.wall_s == 3600
    found, _ = checks(tmp_path / "run.db")
    assert found[1].level == "ok" and "the clock went back 1 times" in found[1].told
