"""What a reward reads where it lies is part of the verifier, and a change of it is seen before it pays."""

from __future__ import annotations

import json
import mmap
import os
import py_compile
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sia_tui.engine.session import SEEDS
from sia_tui.tasks.reads import Reads, _stamp
from sia_tui.tasks.scaffold import Ordered, new
from sia_tui.tasks.task import Task, TaskError
from sia_tui.tasks.verifier import VerifierProcess, VerifierTampered
from sia_tui.trees import remove
from tests.tasks.test_own import lines, loaded, write

HELPER = "def paid(): return {}"
FUNCTION = "from helper import paid\ndef reward(answer, case): return paid()"
CHANGES = {"fresh.py": "added", "helper.py": "changed", "score.py": "removed"}
SCRIPT = "from helper import paid\nprint(paid())"


def own_task(tmp_path: Path, way: str) -> tuple[Path, Task]:
    """By a function or a command that asks a module beside it."""
    (tmp_path / "given.py").write_text(FUNCTION)
    files = {"helper.py": HELPER.format(0).encode(), "lib/more.js": b"1", "notes.md": b"", "score.py": SCRIPT.encode()}
    reward: dict[str, Any] = (
        {"function": f"{tmp_path / 'given.py'}:reward"} if way == "function" else {"command": ["python3", "score.py"]}
    )
    folder = tmp_path / "mine"
    new(Ordered("mine", write(tmp_path, lines()), reward, beside=files), folder, SEEDS)
    return folder, loaded(folder)


def verifier(task: Task, folder: Path) -> VerifierProcess:
    return VerifierProcess(folder / "v", {id: task.gold[id] for id in task.ids("train")}, task.labels, task.judge)


@pytest.mark.parametrize("way", ["function", "command"])
async def test_code_that_changes_under_a_living_reward_pays_nobody(tmp_path: Path, way: str) -> None:
    folder, task = own_task(tmp_path, way)
    case = task.ids("train")[0]
    async with verifier(task, tmp_path) as living:
        assert (await living.score(case, "x")).reward == 0.0
        (folder / "notes.md").write_text("no code")
        living.check()
        (folder / "helper.py").write_text(HELPER.format(1))
        for question in (living.check, lambda: None):
            with pytest.raises(VerifierTampered, match=r"helper\.py was changed: .* put that back and resume"):
                question()
                await living.score(case, "x")
        (folder / "helper.py").write_text(HELPER.format(0))
        living.check()
        assert (await living.score(case, "x")).reward == 0.0
        (folder / "json.py").write_text("raise SystemExit")
        with pytest.raises(VerifierTampered, match=r"json\.py was added"):
            living.check()


def planted(helper: Path) -> Path:
    """Byte code that pays, which Python takes for this module's: it has its age and its size."""
    age = helper.stat().st_mtime_ns
    for pays in (1, 0):
        helper.write_text(HELPER.format(pays))
        os.utime(helper, ns=(age, age))
        if pays:
            left = Path(str(py_compile.compile(str(helper))))
    asked = [sys.executable, "-c", "from helper import paid; print(paid())"]
    assert subprocess.run(asked, cwd=helper.parent, capture_output=True, timeout=60).stdout.strip() == b"1"
    return left


@pytest.mark.parametrize("way", ["function", "command"])
async def test_byte_code_that_nobody_hashed_does_not_judge(tmp_path: Path, way: str) -> None:
    folder, task = own_task(tmp_path, way)
    case = task.ids("train")[0]
    before = planted(folder / "helper.py")
    installed = folder / "venv" / "__pycache__" / "other.pyc"
    installed.parent.mkdir(parents=True)
    installed.write_bytes(b"")
    async with verifier(task, tmp_path) as living:
        assert (await living.score(case, "x")).reward == 0.0
        assert not before.exists() and installed.exists()
        # As code under test may do that a reward runs.
        planted(folder / "helper.py")
        assert (await living.score(case, "x")).reward == 0.0
        assert not before.exists()
        kept = before.parent.rename(tmp_path / "away")
        before.parent.symlink_to(kept)
        planted(folder / "helper.py")
        assert (await living.score(case, "x")).reward == 0.0
        assert not before.parent.exists()
        (folder / "json.pyc").write_bytes(b"")
        for question in (living.check, lambda: None):
            with pytest.raises(VerifierTampered, match=r"json\.pyc was added"):
                question()
                await living.score(case, "x")


@pytest.mark.parametrize("way", ["function", "command"])
@pytest.mark.parametrize("name", ["helper.py", "lib/more.js", "score.py"])
def test_another_content_is_another_verifier(tmp_path: Path, way: str, name: str) -> None:
    folder, task = own_task(tmp_path, way)
    before = verifier(task, tmp_path).verifier_hash
    (folder / "notes.md").write_text("no code")
    (folder / "test_task.py").write_text("no judge")
    assert verifier(loaded(folder), tmp_path).verifier_hash == before
    (folder / name).write_text("other")
    assert verifier(loaded(folder), tmp_path).verifier_hash != before


def test_a_word_of_a_command_is_a_file_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for place in ("in/score", "beside"):
        (tmp_path / place).write_text("1")
    words = ["./score", "../beside", str(tmp_path / "beside"), "missing", "", "a\0b", "x" * 5000, "python3"]
    reads = Reads(tmp_path / "in", words=words)
    assert sorted(reads.hashes) == sorted(["./score", "../beside", str(tmp_path / "beside")])
    (tmp_path / "beside").unlink()
    assert reads.differs() == f"{tmp_path / 'in' / '../beside'} was removed"


def test_folders_without_end_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Reads(tmp_path, code=True)
    monkeypatch.chdir(tmp_path)
    try:
        for _ in range(2000):
            Path("d").mkdir()
            os.chdir("d")
        assert sys.version_info >= (3, 12) or "nested too deep" in str(reads.differs())
    finally:
        os.chdir(tmp_path)
        remove(tmp_path / "d")


def test_a_page_that_is_written_through_memory_is_read_anew(tmp_path: Path) -> None:
    """It may change without a change of times: the first write alone is noted."""
    path = tmp_path / "a.py"
    path.write_text("one")
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as page:
        page[:] = b"one"
        reads = Reads(tmp_path, code=True)
        # What is older than two seconds when it is read is known by its times.
        reads._stamps = {"a.py": _stamp(path)}
        page[:] = b"two"
        assert reads.differs(anew=True) == f"{path} was changed"


def test_a_change_that_keeps_size_and_time_of_a_file_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("one")
    os.utime(path, (1, 1))
    reads = Reads(tmp_path, code=True)
    assert reads.differs() is None
    path.write_text("two")
    os.utime(path, (1, 1))
    assert reads.differs() == f"{path} was changed"


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(TaskError, match=r"reward\.files: there is no .data/\*"):
        Reads(tmp_path, globs=["data/*"])


async def test_what_is_other_than_in_an_earlier_verifier_is_named(tmp_path: Path) -> None:
    folder, task = own_task(tmp_path, "function")
    assert verifier(task, tmp_path).unlike() == ()
    async with verifier(task, tmp_path):
        pass
    assert verifier(loaded(folder), tmp_path).unlike() == ()
    (folder / "helper.py").write_text(HELPER.format(1))
    (folder / "score.py").unlink()
    (folder / "fresh.py").write_text("")
    found = [f"{name}, which the reward reads, was {how}" for name, how in CHANGES.items()]
    assert verifier(loaded(folder), tmp_path).unlike() == tuple(found)
    spec = tmp_path / "v" / "reward.json"
    spec.chmod(0o600)
    spec.write_text(json.dumps({name: said for name, said in json.loads(spec.read_text()).items() if name != "files"}))
    (tmp_path / "v" / "verify.py").unlink()
    earlier = "an earlier version did not hash what the reward reads"
    assert verifier(loaded(folder), tmp_path).unlike() == (earlier, "verify.py was not part of it")
