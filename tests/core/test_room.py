"""A full disk in everybody's words, from the libraries themselves: they are told by a largest file size, as by a disk."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sia_tui.core.room import no_room, unsaved, unwritten

LARGEST = 20_000


@pytest.fixture
def small() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def text(folder: Path) -> None:
    (folder / "out").write_text("x" * 2 * LARGEST)


def tree(folder: Path) -> None:
    shutil.copytree(folder / "large", folder / "copied")


def torch_file(folder: Path) -> None:
    import torch

    torch.save({"a": torch.zeros(LARGEST)}, folder / "out")


def safetensors(folder: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(LARGEST)}, folder / "out")


def database(folder: Path) -> None:
    connection = sqlite3.connect(folder / "out")
    connection.execute("create table t (x)")
    connection.execute("insert into t values (?)", ("x" * 2 * LARGEST,))
    connection.commit()


def pages(folder: Path) -> None:
    """SQLite's own word for a disk without room."""
    connection = sqlite3.connect(folder / "out")
    connection.execute("pragma max_page_count = 2")
    connection.execute("create table t (x)")
    connection.execute("insert into t values (?)", ("x" * LARGEST,))


def child(folder: Path) -> None:
    """A process of its own, whose last words are all there is."""
    code = f"open({str(folder / 'out')!r}, 'w').write('x' * {2 * LARGEST})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    raise RuntimeError(f"it ended with status {done.returncode}: {done.stderr.splitlines()[-1]}")


@pytest.mark.parametrize("write", [text, tree, torch_file, safetensors, database, pages, child])
def test_whoever_writes_is_understood(
    write: Callable[[Path], None], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "file").write_bytes(b"x" * 2 * LARGEST)
    request.getfixturevalue("small")
    with pytest.raises(Exception) as failed:
        write(tmp_path)
    assert no_room(failed.value), repr(failed.value)
    said = unwritten(failed.value, tmp_path, free=1_500_000, needed=35_000_000)
    assert said.startswith(f"no room left to write in {tmp_path} (1.5 MB free, about 35.0 MB needed): ")
    assert "\n" not in said and len(said) < 400


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_what_lies_behind_an_error_counts(number: int) -> None:
    with pytest.raises(ValueError, match="broke") as failed:
        try:
            raise OSError(number, os.strerror(number), "file")
        except OSError as error:
            raise ValueError("it broke") from error
    assert no_room(failed.value) and os.strerror(number) in unwritten(failed.value, Path("/x"), 0)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EACCES, "Permission denied", "No space left on device"),
        OSError(errno.EIO, os.strerror(errno.EIO)),
        sqlite3.OperationalError("database is locked"),
        RuntimeError("PytorchStreamReader failed reading zip archive"),
        MemoryError(),
    ],
)
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert not no_room(error)


def test_what_was_asked_for_says_the_place_that_is_full(tmp_path: Path) -> None:
    out = tmp_path / "out"
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "gone" / "scratch"))
    assert unsaved(full, out).startswith(f"no room left to write in {tmp_path} (")
    assert unsaved(OSError(errno.ENOSPC, "No space left on device"), tmp_path / "a" / "b").startswith(
        f"no room left to write in {tmp_path} ("
    )
    assert unsaved(PermissionError(errno.EACCES, "Permission denied"), out) == f"{out}: [Errno 13] Permission denied"
