"""Two engines, two people, and places that may only be read: one wins, the others are told in one line."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sia_tui.cli.main import main
from sia_tui.engine.engine import Options, run_engine
from sia_tui.engine.session import EngineError, Session
from sia_tui.harness import plumbing
from sia_tui.harness.repository import SEED_DATE, HarnessRepository, RepositoryError
from sia_tui.harness.sandbox import probe
from sia_tui.store.lock import RunHeld, hold
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore
from tests.engine.filling import CONFIG
from tests.tui.runs import make_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    """A run at a gate, without an engine."""
    return make_run(tmp_path / "w" / "runs" / "r", "patch_gate")


def start(paths: RunPaths, *words: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-m", "sia_tui", *words, "--workspace", str(paths.root.parents[1])]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_second_engine_is_told_who_has_the_run(paths: RunPaths) -> None:
    before = paths.db.read_bytes()
    with hold(paths.lock), pytest.raises(RunHeld, match=rf"run r is held by engine pid {os.getpid()} on .*attach"):
        asyncio.run(run_engine(Workspace(paths.root.parents[1]), paths, CONFIG, Options()))
    assert paths.db.read_bytes() == before


def test_of_two_people_at_one_gate_one_wins_and_the_other_is_told(paths: RunPaths) -> None:
    gate = RunReader(paths.db).state().waiting
    assert gate is not None
    both = [start(paths, verb, gate.id, "--hash", gate.hash) for verb in ("approve", "reject")]
    ended = [(one.communicate(timeout=60), one.returncode) for one in both]
    assert sorted(code for _, code in ended) == [0, 2], ended
    ((_, err), _) = next(one for one in ended if one[1] == 2)
    assert err.count("\n") == 1 and ("is answered already" in err or "no gate" in err), err
    state = RunReader(paths.db).state()
    answered = next(step for step in state.steps if gate in step.gates)
    assert len(answered.verdicts) == 1 and answered.verdicts[0].kind == ("approve", "reject")[ended[1][1] == 0]


@pytest.mark.skipif(not probe().of("bwrap").works, reason="a place that root cannot write to takes bubblewrap")
@pytest.mark.parametrize("wal", [False, True], ids=["without", "with a WAL"])
def test_where_nothing_may_be_written_a_run_is_read_and_not_resumed(paths: RunPaths, wal: bool) -> None:
    root = str(paths.root.parents[1])
    before = ("bwrap", "--dev-bind", "/", "/", "--ro-bind", root, root)
    if wal:
        paths.db.with_name("run.db-wal").touch()
    shown = start(paths, "show", "r", before=before)
    (out, err), engine = shown.communicate(timeout=60), start(paths, "resume", "r", "--headless", before=before)
    if not wal:
        assert shown.returncode == 0 and "g3" in out, err
    else:
        assert shown.returncode == 0 or err.count("\n") == 1, err
    _, err = engine.communicate(timeout=60)
    assert engine.returncode == 2 and err.count("\n") == 1, err


@pytest.mark.skipif(not probe().of("bwrap").works, reason="a place that root cannot write to takes bubblewrap")
@pytest.mark.parametrize("verb", ["pause", "contract --end", "verify --mend", "approve"])
def test_every_verb_says_the_same_where_nothing_may_be_written(paths: RunPaths, verb: str) -> None:
    root, gate = str(paths.root.parents[1]), RunReader(paths.db).state().waiting
    assert gate is not None
    name, *more = verb.split()
    words = [name, f"r/{gate.id}", "--hash", gate.hash] if verb == "approve" else [name, "r", *more]
    asked = start(paths, *words, before=("bwrap", "--dev-bind", "/", "/", "--ro-bind", root, root))
    out, err = asked.communicate(timeout=60)
    assert asked.returncode == 2 and out == "" and err.count("\n") == 1, err
    assert (
        err.startswith(f"sia-tui: {paths.root} cannot be written (")
        and "go on with a copy of it: sia-tui backup" in err
    )


def test_what_cannot_be_settled_is_not_queued(paths: RunPaths, capsys: pytest.CaptureFixture[str]) -> None:
    paths.lock.mkdir()
    assert main(["pause", "r", "--workspace", str(paths.root.parents[1])]) == 1
    err = capsys.readouterr().err
    assert err == f"sia-tui: {paths.lock}: Is a directory\n"
    paths.lock.rmdir()
    with RunStore(paths.db) as store:
        assert store.commands() == []


def test_an_engine_that_may_not_write_says_what_to_do(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    from sia_tui.engine import engine
    from sia_tui.store.version import StoreError

    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(engine, "_log_to", refuse)
    with pytest.raises(StoreError, match=r"cannot be written .*sia-tui backup r FILE"):
        asyncio.run(run_engine(Workspace(paths.root.parents[1]), paths, CONFIG, Options()))


@pytest.mark.parametrize(
    ("ago", "goes"), [(100, True), (-3600, True), (0, False), (-20, False)], ids=["old", "clock-back", "new", "skewed"]
)
def test_a_lock_that_git_left_is_taken_away_once_nobody_can_hold_it(
    ago: float, goes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plumbing, "LOCKED_S", 0.2)
    repository, commit = HarnessRepository.plant(tmp_path / "h", "toy", {"harness.py": b"x\n"})
    lock = tmp_path / "h" / ".git" / "refs" / "tags" / "r" / "g0.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    os.utime(lock, (time.time() - ago, time.time() - ago))
    if goes:
        repository.mark("refs/tags/r/g0", commit)
        assert repository.resolve("refs/tags/r/g0") == commit and not lock.exists()
        return
    with pytest.raises(RepositoryError, match=r"g0\.lock is held by another git; end that, or delete the file"):
        repository.mark("refs/tags/r/g0", commit)
    assert lock.exists()


@pytest.mark.parametrize("whose", ["somebody's who has it open", "a worktree's index"])
def test_a_lock_that_a_person_may_hold_stays_however_old_it_is(
    whose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plumbing, "LOCKED_S", 0.2)
    repository, commit = HarnessRepository.plant(tmp_path / "h", "toy", {"harness.py": b"x\n"})
    repository.start_run("r", commit, tmp_path / "w")
    of_index = "index" in whose
    lock = tmp_path / "h" / ".git" / ("worktrees/w/index.lock" if of_index else "refs/heads/r.lock")
    with lock.open("w") as held:
        os.utime(lock, (time.time() - 100, time.time() - 100))
        if of_index:
            held.close()
        with pytest.raises(RepositoryError, match=rf"{lock.name}.* is held by another git"):
            if of_index:
                repository.git.run("-C", str(tmp_path / "w"), "reset", "-q", "--hard", "seed")
            else:
                repository.mark(
                    "refs/heads/r", repository.git.commit_tree(f"{commit}^{{tree}}", commit, "m", SEED_DATE)
                )
    assert lock.exists()


async def test_an_adapter_that_vanished_is_named_with_the_ways_out(tmp_path: Path) -> None:
    asked: Any = SimpleNamespace(paths=RunPaths(tmp_path / "r"), state=SimpleNamespace(run="r"))
    gateway: Any = None
    with pytest.raises(EngineError, match=r"is gone; restore it from a backup, or go back: sia-tui rollback r GEN"):
        await Session.served(asked, gateway, "ab" * 32)
