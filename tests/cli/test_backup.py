"""A backup of a run that is being written: restored elsewhere it is whole, and goes on to the same answers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import threading
import time
import zipfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sia_tui.cli.main import main
from sia_tui.config import load_config
from sia_tui.core.consent import NO_END, Row, linked
from sia_tui.core.events import ProposalMade, ProposalRefused, RunCreated, TrainingBegan
from sia_tui.engine import keeping
from sia_tui.engine.engine import Options, run_engine
from sia_tui.engine.saved import what_is_saved
from sia_tui.harness.repository import HarnessRepository
from sia_tui.store import lock
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import Workspace
from sia_tui.store.writer import RunStore
from sia_tui.weights.whole import CHECKPOINTS, SEAL, STEPS
from tests.core.story import proposal
from tests.store.test_run_store import ATTEMPT, SCORE

pytestmark = pytest.mark.xdist_group("export")


def said(workspace: Workspace, *words: object) -> int:
    return main([*map(str, words), "--workspace", str(workspace.root)])


def answers(workspace: Workspace) -> dict[str, str | None]:
    with closing(RunReader(workspace.run("real").db)) as reader:
        return {row.case_id: row.answer for row in reader.episodes(reader.state().generations[0].key)}


def taken_back(workspace: Workspace) -> int:
    """The run as it was before two dev cases were answered, as a kill leaves it; returns how many events that is."""
    with closing(sqlite3.connect(workspace.run("real").db)) as db, db:
        [(seq,)] = db.execute(
            "select seq from events where kind = 'EpisodeDone' and data like '%dev%' limit 1 offset 2"
        )
        gone = "select json_extract(data, '$.episode') from events where kind = 'EpisodeDone' and seq >= ?"
        for table, name in (("episodes", "id"), ("trajectories", "episode")):
            db.execute(f"delete from {table} where {name} in ({gone})", [seq])
        db.execute("delete from events where seq >= ?", [seq])
        end = NO_END
        for row in db.execute("select seq, at, kind, data from events order by seq"):
            end = linked(end, Row(*row))
        db.execute("update log_end set seq = ?, digest = ?", [end.seq, end.digest])
        return int(seq)


def test_a_run_that_is_being_written_is_restored_whole_and_goes_on(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, began, stop = answers(workspace), threading.Event(), threading.Event()
    events = taken_back(workspace)

    def write() -> None:
        with RunStore(workspace.run("real").db) as store:
            number = 0
            while not stop.is_set():
                store.record_episode(f"live-{number}", "k", ATTEMPT, SCORE)
                number += 1
                began.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert began.wait(60)
        assert said(workspace, "backup", "real", tmp_path / "one") == 0
        assert said(workspace, "backup", "--all", tmp_path / "two") == 0
    finally:
        stop.set()
        writer.join()
    assert (tmp_path / "one").stat().st_mode & 0o077 == 0
    for name in ("one", "two"):
        there = Workspace(tmp_path / f"there-{name}")
        assert said(there, "restore", tmp_path / name) == 0
        assert there.run("real").root.stat().st_mode & 0o077 == 0
        assert said(there, "verify", "real") == 0, capsys.readouterr().out
        with closing(RunReader(there.run("real").db)) as reader:
            assert reader.tally().episodes > len(answers(there)), "it was written meanwhile"
        assert (there.run("real").worktree / "lawbench" / "harness.py").is_file()
    config = load_config(there.run("real").config)
    code = asyncio.run(run_engine(there, there.run("real"), config, Options(write=lambda line: None)))
    assert code == 0 and answers(there) == whole and events > 5
    assert said(there, "verify", "real") == 0, capsys.readouterr().out
    assert said(there, "restore", tmp_path / "one") == 2
    assert "is in" in capsys.readouterr().err


def test_a_training_under_way_is_backed_up_with_its_newest_whole_checkpoint(
    workspace: Workspace, tmp_path: Path
) -> None:
    """While its trainer makes checkpoints, and deletes what only the ones before needed."""
    paths, stop, turned = workspace.run("real"), threading.Event(), threading.Event()
    taken_back(workspace)
    with RunStore(paths.db) as store:
        store.record(ProposalMade("p", proposal("idea", "weights")), TrainingBegan("p", None))
    checkpoints, steps = (paths.training / "p" / name for name in (CHECKPOINTS, STEPS))

    def train() -> None:
        step = 0
        while not stop.is_set():
            step += 1
            made = checkpoints / f"checkpoint-{step}"
            for folder in (made, steps / f"v{step}"):
                folder.mkdir(parents=True)
                (folder / "weights").write_text(str(step))
            (made / SEAL).write_text(str(step))
            for old in (checkpoints / f"checkpoint-{step - 2}", steps / f"v{step - 1}"):
                shutil.rmtree(old, ignore_errors=True)
            if step > 2:
                turned.set()
            time.sleep(0.02)

    trainer = threading.Thread(target=train)
    trainer.start()
    try:
        assert turned.wait(60) and said(workspace, "backup", "real", tmp_path / "b") == 0
    finally:
        stop.set()
        trainer.join()
    there = Workspace(tmp_path / "there")
    assert said(there, "restore", tmp_path / "b") == 0
    with RunStore(there.run("real").db) as store:
        told = what_is_saved(store, there.run("real"))
    (whole,) = (there.run("real").training / "p" / CHECKPOINTS).iterdir()
    step = whole.name.rpartition("-")[2]
    assert f"its checkpoint of step {step}" in told and (whole / SEAL).read_text() == step
    assert (there.run("real").training / "p" / STEPS / f"v{step}" / "weights").read_text() == step
    with RunStore(paths.db) as store:
        store.record(ProposalRefused("p", "training", "over"))
    assert said(workspace, "backup", "real", tmp_path / "over") == 0
    assert not [name for name in zipfile.ZipFile(tmp_path / "over").namelist() if "/training/" in name]


def packed(workspace: Workspace, tmp_path: Path) -> Path:
    assert said(workspace, "backup", "real", tmp_path / "b") == 0
    return tmp_path / "b"


@pytest.mark.parametrize("fault", ["cut", "flipped", "text", "outside", "another", "empty"])
def test_a_file_that_is_no_sound_backup_is_one_line_and_leaves_nothing(
    fault: str, workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = packed(workspace, tmp_path)
    content = file.read_bytes()
    match fault:
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case "flipped":
            file.write_bytes(content[:3000] + bytes([content[3000] ^ 255]) + content[3001:])
        case "text":
            file.write_text("no backup")
        case "empty":
            file.write_bytes(b"")
        case "outside" | "another":
            name = "runs/../../out" if fault == "outside" else "notes.txt"
            with zipfile.ZipFile(file, "w") as other:
                other.writestr(name, "x")
                told = f'{{"format": 1, "runs": [], "sha256": {{"{name}": "0"}}}}'
                other.writestr("backup.json", told if fault == "outside" else '{"format": 1}')
    there = Workspace(tmp_path / "there")
    capsys.readouterr()
    assert said(there, "restore", file) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert list(there.runs.iterdir()) == [] and not (tmp_path / "out").exists()
    assert not there.harness_repository.exists()


def repacked(file: Path, out: Path, runs: list[str], changed: Mapping[str, bytes]) -> Path:
    """With members changed or added, and sealed anew."""
    with zipfile.ZipFile(file) as packed, zipfile.ZipFile(out, "w") as other:
        told = json.loads(packed.read("backup.json"))
        contents = {name: packed.read(name) for name in told["sha256"]} | changed
        for name, content in contents.items():
            other.writestr(name, content)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        other.writestr("backup.json", json.dumps(told | {"runs": runs, "sha256": hashes}))
    return out


@pytest.mark.parametrize("fault", ["another's store", "no history", "no room"])
def test_of_several_runs_all_are_restored_or_none(
    fault: str,
    workspace: Workspace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, there = packed(workspace, tmp_path), Workspace(tmp_path / "there")
    with zipfile.ZipFile(file) as sound:
        of = {name.removeprefix("runs/real/"): sound.read(name) for name in sound.namelist() if "runs/real/" in name}
    if fault == "no history":
        with RunStore(tmp_path / "second.db") as store:
            store.record(
                *(replace(entry, run="second") if isinstance(entry, RunCreated) else entry for entry in log(workspace))
            )
        with closing(sqlite3.connect(tmp_path / "second.db")) as db:
            db.execute("pragma journal_mode = delete")
        of |= {"run.db": (tmp_path / "second.db").read_bytes(), "harness.bundle": b"no bundle"}
    if fault == "no room":
        monkeypatch.setattr(keeping, "disk_usage", lambda _: SimpleNamespace(free=1))
    two = repacked(
        file, tmp_path / "two", ["real", "second"], {f"runs/second/{name}": content for name, content in of.items()}
    )
    capsys.readouterr()
    assert said(there, "restore", two) != 0
    told = capsys.readouterr().err.strip()
    assert len(told.splitlines()) == 1, told
    left = [path for path in there.root.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == [] and not there.harness_repository.exists()
    monkeypatch.undo()
    assert said(there, "restore", file) == 0 and said(there, "verify", "real") == 0


def beside(workspace: Workspace, file: Path, out: Path) -> Path:
    """The backup of a run with a second one in it that has only begun."""
    second = out.with_name("second.db")
    with RunStore(second) as store:
        store.record(replace(log(workspace)[0], run="second"))
    with closing(sqlite3.connect(second)) as db:
        db.execute("pragma journal_mode = delete")
    members = {"run.db": second.read_bytes(), "config.yaml": workspace.run("real").config.read_bytes()}
    return repacked(
        file, out, ["real", "second"], {f"runs/second/{name}": content for name, content in members.items()}
    )


def dies_at(moment: str, call: int) -> None:
    place = HarnessRepository if moment == "start_run" else keeping
    whole, calls = getattr(place, moment), list[None]()

    def dying(*arguments: Any) -> Any:
        calls.append(None)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments)

    setattr(place, moment, dying)


@pytest.mark.parametrize(("moment", "call"), [("_laid_out", 2), ("start_run", 1), ("_adopt", 2)])
def test_a_restore_that_is_killed_halfway_goes_on_at_the_next_call(
    moment: str, call: int, workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two, there = beside(workspace, packed(workspace, tmp_path), tmp_path / "two"), Workspace(tmp_path / "there")
    child = os.fork()
    if child == 0:
        dies_at(moment, call)
        said(there, "restore", two)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert there.run("real").root.exists() == (moment != "_laid_out") and not there.run("second").root.exists()
    assert said(there, "restore", two) == 0, capsys.readouterr().err
    assert sorted(path.name for path in there.runs.iterdir()) == ["real", "second"]
    assert there.run("real").worktree.is_dir() and said(there, "verify", "real") == 0
    assert said(there, "restore", two) == 2, "done is done"


def test_nothing_is_laid_out_while_a_workspace_is_cleared(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no run names yet is what is deleted."""
    file, there = packed(workspace, tmp_path), Workspace(tmp_path / "there")
    there.create()
    monkeypatch.setattr(lock, "USE_S", 0.1)
    with lock.using(there.root, "sia-tui gc", alone=True):
        assert said(there, "restore", file) == 2
    assert "is being cleared by sia-tui gc (pid" in capsys.readouterr().err
    assert said(there, "restore", file) == 0


def log(workspace: Workspace) -> list[Any]:
    with closing(RunReader(workspace.run("real").db)) as reader:
        return [entry.event for entry in reader.log()]


def test_of_the_tasks_a_run_takes_its_own_along(workspace: Workspace, tmp_path: Path) -> None:
    """A task's key makes its hidden cases: it is nobody else's."""
    for name in ("lawbench", "lawbench-private", "lawbench-0123456789ab"):
        (workspace.folder("tasks") / name).mkdir()
        (workspace.folder("tasks") / name / "key").write_text("secret")
    names = zipfile.ZipFile(packed(workspace, tmp_path)).namelist()
    assert [name for name in names if name.startswith("tasks/")] == ["tasks/lawbench/key"]


def test_what_cannot_be_backed_up_is_told(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(workspace, "backup", tmp_path / "x") == 2 and "name a run" in capsys.readouterr().err
    assert said(workspace, "backup", "real", tmp_path / "none" / "x") == 1
    assert capsys.readouterr().err == f"sia-tui: {tmp_path / 'none'}: no such folder\n"
    run, aside = workspace.run("real"), tmp_path / "aside"
    for gone in (run.config, run.adapters):
        gone.rename(aside)
        assert said(workspace, "backup", "real", tmp_path / "x") == 1
        told = capsys.readouterr().err
        assert f"{gone}" in told and "is not there; see: sia-tui verify" in told and "Errno" not in told
        aside.rename(gone)
    for lost in ("objects", ""):
        shutil.rmtree(workspace.harness_repository / ".git" / lost)
        (workspace.harness_repository / ".git" / lost).mkdir()
        for words in (("backup", "real", tmp_path / "x"), ("replay", "real", "--save", tmp_path / "x")):
            assert said(workspace, *words) == 1
            assert re.search(r"the commit \w{10} is not in git; see: sia-tui verify real$", capsys.readouterr().err)
    assert not list(tmp_path.glob("*x*"))
