"""Real SQLite files: what is written is read back, survives a kill, and nothing foreign is touched."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_tui.core.episodes import Attempt, Call, Case, HarnessError, Score, ToolCall
from sia_tui.core.events import EpisodeDone, RunCreated, RunPaused
from sia_tui.core.machine import Gpu, Usage
from sia_tui.store.openings import record_opening
from sia_tui.store.reader import RunReader, append_command
from sia_tui.store.version import SCHEMA_VERSION, StoreError
from sia_tui.store.workspace import Workspace, file_system
from sia_tui.store.writer import RunStore
from tests.core.story import tell_story

CALL = Call(({"role": "user", "content": "问\ud800"},), "答", (1, 2), (3,), (-0.5,), None, 0.7, 1.0, 24, "stop", 0.1)
ATTEMPT = Attempt(
    Case("c1", "train", {"text": "事实"}, 2),
    "盗窃",
    "policy",
    (CALL,),
    (ToolCall("rank", "…", "['盗窃']", 0.1),),
    HarnessError("timeout", "late"),
    0.4,
    "bwrap",
    {"note": 1},
)
SCORE = Score(1.0, None, {}, {"expected": "盗窃"})


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


@settings(max_examples=10)
@given(st.data())
def test_a_reader_folds_to_the_writers_state(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("run") / "run.db"
    log = tell_story(lambda options: data.draw(st.sampled_from(options)))
    with RunStore(path) as store:
        for entry in log:
            store.record(entry.event)
        written = store.state
    with RunStore(path) as again:
        assert again.state.steps == written.steps and again.state.generations == written.generations
    reader = RunReader(path)
    read = reader.state()
    assert (read.steps, read.generations, read.status) == (written.steps, written.generations, written.status)


def test_a_trajectory_comes_back_whole_and_is_stored_once(db: Path) -> None:
    with RunStore(db) as store:
        store.record(RunCreated("r", "t", "c"))
        store.record_episode("e1", "k", ATTEMPT, SCORE)
        store.record_episode("e1", "k", ATTEMPT, SCORE)
        assert (store.state.cost.episodes, store.state.cost.tokens) == (1, 3)
    reader = RunReader(db)
    assert reader.trajectory("e1") == (ATTEMPT, SCORE)
    assert reader.trajectory("none") is None
    assert [row.case_id for row in reader.episodes("k", "train")] == ["c1"]
    assert reader.state().cost.episodes == 1


def test_a_committed_event_survives_kill_9(db: Path) -> None:
    code = (
        "import sys, os, signal\nfrom pathlib import Path\nfrom sia_tui.store.writer import RunStore\n"
        "from sia_tui.core.events import RunCreated, RunPaused\n"
        "store = RunStore(Path(sys.argv[1]))\nstore.record(RunCreated('r', 't', 'c'))\n"
        "for i in range(50): store.record(RunPaused(str(i)))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(db)], timeout=60, cwd=Path(__file__).parents[2])
    assert ended.returncode == -signal.SIGKILL
    with RunStore(db) as store:
        assert len(RunReader(db).log()) == 51
        assert store.state.status == "paused"


def test_a_batch_of_events_is_all_or_nothing(db: Path) -> None:
    with RunStore(db) as store:
        store.record(RunCreated("r", "t", "c"))
        with pytest.raises(TypeError):
            store.record(RunPaused("me"), object())  # type: ignore[arg-type]
        assert store.state.status == "running"
    assert len(RunReader(db).log()) == 1


def test_commands_are_answered_once(db: Path) -> None:
    with RunStore(db) as store:
        store.record(RunCreated("r", "t", "c"))
        number = append_command(db, "pause", "me", {"x": "é"})
        [command] = store.commands()
        assert (command.id, command.kind, json.loads(command.body)) == (number, "pause", {"uid": os.getuid(), "x": "é"})
        reader = RunReader(db)
        assert reader.answer_to(number) is None
        store.answer(command, True, "paused", RunPaused("me"))
        found = reader.answer_to(number)
        assert found is not None and found.ok and store.commands() == [] and reader.state().status == "paused"


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(4096 + 8, min(len(data), 4096 * 5), 7):
        data[at] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("fault", ["garbage", "damaged", "foreign", "newer", "empty"])
def test_a_file_that_is_not_sound_is_refused_and_left_untouched(db: Path, fault: str) -> None:
    with RunStore(db) as store:
        store.record(RunCreated("r", "t", "c"), *[RunPaused("x" * 500) for _ in range(40)])
    connection = sqlite3.connect(db)
    connection.execute("pragma wal_checkpoint(truncate)")
    if fault == "foreign":
        connection.execute("pragma application_id=7")
    if fault == "newer":
        connection.execute("pragma user_version=99")
    connection.commit()
    connection.execute("pragma journal_mode=delete")
    connection.close()
    if fault == "garbage":
        db.write_bytes(b"not a database at all" * 100)
    if fault == "empty":
        db.write_bytes(b"")
    if fault == "damaged":
        damage(db)
    before = db.read_bytes()
    said = {"newer": rf"schema 99, this one knows {SCHEMA_VERSION}\); upgrade"}.get(
        fault, "left as it is|not a run database"
    )
    with pytest.raises(StoreError, match=said):
        RunStore(db)
    assert db.read_bytes() == before


def test_openings_of_a_test_set_are_counted_across_runs(tmp_path: Path) -> None:
    db = tmp_path / "workspace.db"
    assert [record_opening(db, run, "h") for run in ("a", "a", "b", "c")] == [0, 0, 1, 2]
    assert record_opening(db, "c", "other") == 0


def test_a_network_file_system_is_refused_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "far" / "disk").mkdir(parents=True)
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 1 8:1 / / rw - ext4 /dev/sda rw\n"
        f"2 1 0:50 / {tmp_path / 'far'} rw - nfs4 server:/x rw\n"
        f"3 1 0:51 / {tmp_path / 'far' / 'disk'} rw - xfs /dev/b rw\n"
    )
    assert file_system(tmp_path / "far" / "deep", mounts) == "nfs4"
    assert file_system(tmp_path / "far" / "disk" / "x", mounts) == "xfs"
    assert file_system(tmp_path / "farther", mounts) == "ext4"
    monkeypatch.setattr("sia_tui.store.workspace.file_system", lambda path: "nfs4")
    with pytest.raises(StoreError, match=r"network file system \(nfs4\).*--workspace"):
        Workspace(tmp_path / "w").create()
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("name", ["..", "a/b", "", "-x", "a..b", "x.lock", "a b", "é" * 3])
def test_a_run_name_is_a_plain_folder_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError):
        Workspace(tmp_path).run(name)


def test_a_workspace_is_named_by_flag_then_environment_then_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIA_WORKSPACE", "/tmp/env")
    assert Workspace.locate("/tmp/flag").root == Path("/tmp/flag")
    assert Workspace.locate(None).root == Path("/tmp/env")
    monkeypatch.delenv("SIA_WORKSPACE")
    assert Workspace.locate(None).root == Path.cwd() / ".sia"


def test_a_writer_and_a_client_that_hammer_the_file_never_lock_each_other_out(db: Path) -> None:
    with RunStore(db) as store:
        store.record(RunCreated("r", "t", "c"))
        stop = threading.Event()

        def client() -> None:
            while not stop.is_set():
                append_command(db, "defer", "me", {"gate": "none"})

        with ThreadPoolExecutor(2) as pool:
            clients = [pool.submit(client) for _ in range(2)]
            try:
                for number in range(40):
                    store.record_episode(f"e{number}", "k", ATTEMPT, SCORE)
                    store.progress("p", number, 40, "now")
                    for command in store.commands()[:3]:
                        store.answer(command, True, "heard")
            finally:
                stop.set()
            for found in clients:
                found.result(timeout=30)
        assert store.state.cost.episodes == 40


def test_the_machine_is_told_as_it_is_now(db: Path) -> None:
    with RunStore(db) as store:
        reader = RunReader(db)
        assert reader.machine() is None
        for cores in (1.0, 1.9):
            store.machine(Usage((Gpu(0, 0.9),), cores, {"trainer": 0.5}))
        found = reader.machine()
        assert found is not None and found.usage == Usage((Gpu(0, 0.9),), 1.9, {"trainer": 0.5})


def test_a_run_from_before_the_machine_was_told_is_read_and_gone_on_with(db: Path) -> None:
    with RunStore(db) as store:
        store.record(RunCreated("r", "t", "c"))
    connection = sqlite3.connect(db)
    connection.executescript(
        "drop table machine; delete from _sqlite_migrations where name = 'add_machine'; pragma user_version = 2"
    )
    connection.close()
    reader = RunReader(db)
    assert reader.machine() is None and reader.state().run == "r"
    with RunStore(db) as store:
        store.machine(Usage((), 0.5))
        found = reader.machine()
        assert found is not None and found.usage.cores == 0.5 and store.state.run == "r"


def test_what_is_new_is_found_without_passing_over_the_episodes(db: Path) -> None:
    """They are nearly all of a long run's log, and clients ask ten times a second."""
    with RunStore(db) as store:
        store.record(RunCreated("r", "t", "c"), *(EpisodeDone(f"e{n}", "k", "train", 1) for n in range(5000)))
    reader, looks = RunReader(db), []
    reader._connection.set_progress_handler(lambda: looks.append(1), 100)
    [created] = reader.log()
    assert reader.log(after=created.seq) == [] and len(looks) < 5
