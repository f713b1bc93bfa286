"""The worktree shows what serves, whoever was killed on the way to it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sia_tui.engine.history import move_branch
from sia_tui.harness.repository import SEED_DATE, HarnessRepository


def test_a_worktree_that_was_left_behind_its_branch_comes_after_it_but_for_a_persons_edits(tmp_path: Path) -> None:
    repository, first = HarnessRepository.plant(tmp_path / "harness", "task", {"harness.py": b"x = 1\n"})
    tree, worktree = repository.tree_of(first, "task", {"harness.py": "x = 2\n"}), tmp_path / "tree"
    second = repository.commit_generation(tree, {}, first, "two", {}, SEED_DATE)
    repository.start_run("r", first, worktree)
    made = [SimpleNamespace(commit=commit) for commit in (first, second)]
    state: Any = SimpleNamespace(run="r", best=made[1], generations=made)
    shown = worktree / "task" / "harness.py"

    repository.move("r", first, second)
    shown.write_text("x = 9\n")
    assert not move_branch(repository, state, worktree) and shown.read_text() == "x = 9\n"
    shown.write_text("x = 1\n")
    lock = repository.root / ".git" / "worktrees" / "tree" / "index.lock"
    lock.touch()
    assert move_branch(repository, state, worktree) and shown.read_text() == "x = 1\n", (
        "somebody's git is at work there"
    )
    lock.unlink()
    assert move_branch(repository, state, worktree) and shown.read_text() == "x = 2\n"
    shown.write_text("x = 9\n")
    assert move_branch(repository, state, worktree) and shown.read_text() == "x = 9\n", "it is at its place"


def test_a_branch_that_somebody_deleted_is_there_again(tmp_path: Path) -> None:
    repository, first = HarnessRepository.plant(tmp_path / "harness", "task", {"harness.py": b"x = 1\n"})
    worktree, made = tmp_path / "tree", SimpleNamespace(commit=first)
    repository.start_run("r", first, worktree)
    repository.unmark("refs/heads/r")
    state: Any = SimpleNamespace(run="r", best=made, generations=[made])
    assert move_branch(repository, state, worktree) and repository.resolve("refs/heads/r") == first
    assert repository.is_tied(worktree)
