"""A run is deleted with what git has of it, and nothing of another run."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sia_tui.cli.deleting import deleted
from sia_tui.cli.main import UsageError, main
from sia_tui.harness.repository import HarnessRepository
from sia_tui.store.lock import hold
from sia_tui.store.workspace import Workspace
from tests.tui.runs import make_run


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two runs on one harness, as engines leave them."""
    workspace = Workspace(tmp_path / "ws")
    repository, commit = HarnessRepository.plant(workspace.harness_repository, "toy", {"harness.py": b"x = 1\n"})
    for name in ("one", "one-2"):
        paths = make_run(workspace.runs / name, "fresh")
        repository.start_run(name, commit, paths.worktree)
        repository.mark(f"refs/tags/{name}/g0", commit)
        repository.note(name, commit, "said")
        tree = repository.snapshot(commit, "toy", paths.root / "trees")
        (tree / "harness.py").chmod(0o444)
        tree.chmod(0o555)
    return workspace


def refs(workspace: Workspace, run: str) -> list[str | None]:
    repository = HarnessRepository(workspace.harness_repository)
    return [repository.resolve(f"refs/{name}") for name in (f"heads/{run}", f"tags/{run}/g0", f"notes/sia/{run}")]


def test_folder_branch_tags_notes_and_worktree_go(workspace: Workspace) -> None:
    assert None not in refs(workspace, "one")
    assert main(["delete", "one", "--yes", "--workspace", str(workspace.root)]) == 0
    assert refs(workspace, "one") == [None] * 3 and None not in refs(workspace, "one-2")
    assert [path.name for path in workspace.runs.iterdir()] == ["one-2"]
    assert (workspace.run("one-2").worktree / "toy" / "harness.py").is_file()


def test_without_yes_and_under_an_engine_nothing_goes(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["delete", "one", "--workspace", str(workspace.root)]) == 2
    assert "--yes" in capsys.readouterr().err
    with hold(workspace.run("one").lock), pytest.raises(UsageError, match="end it first: sia-tui stop one"):
        deleted(workspace, "one")
    paths = workspace.run("one")
    paths.again.root.mkdir()
    with hold(paths.again.lock), pytest.raises(UsageError, match=r"measures beside one; wait for it$"):
        deleted(workspace, "one")
    assert None not in refs(workspace, "one") and workspace.run("one").db.is_file()


def test_of_a_workspace_that_was_moved_it_goes_whole(workspace: Workspace) -> None:
    moved = Workspace(workspace.root.with_name("moved"))
    workspace.root.rename(moved.root)
    assert main(["delete", "one", "--yes", "--workspace", str(moved.root)]) == 0
    assert refs(moved, "one") == [None] * 3 and None not in refs(moved, "one-2")
    assert [path.name for path in moved.runs.iterdir()] == ["one-2"]


def test_where_nothing_can_be_written_nothing_is_said_to_be_half_gone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr("sia_tui.engine.deleting.hold", refuse)
    assert main(["delete", "one", "--yes", "--workspace", str(workspace.root)]) == 2
    assert capsys.readouterr().err == (
        f"sia-tui: {workspace.run('one').root}: nothing was deleted, for it cannot be written (Read-only file system)\n"
    )
    assert None not in refs(workspace, "one")
