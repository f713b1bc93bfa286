"""Real git: what a run needs of it, and what a patch must not be able to do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from sia_tui.core.text import clean
from sia_tui.harness.repository import SEED_DATE, HarnessRepository, PatchFailed, RepositoryError

SURFACE = ("*.py", "*.md")
HARNESS = "ONE = 1\nTWO = 2\n盗窃 = 3\n"
PATCH = "--- a/harness.py\n+++ b/harness.py\n@@ -1,3 +1,3 @@\n ONE = 1\n-TWO = 2\n+TWO = 22\n 盗窃 = 3\n"


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    folder = tmp_path / "seeds"
    (folder / "task").mkdir(parents=True)
    (folder / "task" / "harness.py").write_text(HARNESS, encoding="utf-8")
    (folder / "task" / "提示.md").write_text("hi\n", encoding="utf-8")
    return folder


@pytest.fixture
def planted(tmp_path: Path, seeds: Path) -> tuple[HarnessRepository, str]:
    return HarnessRepository.plant(tmp_path / "harness", "task", HarnessRepository.package_in(seeds / "task"))


def commit(repository: HarnessRepository, base: str, patch: str = PATCH) -> str:
    tree = repository.patched_tree(base, "task", patch, SURFACE)
    return repository.commit_generation(tree, {"harness": "x"}, base, "Two becomes 22", {"Run": "r"}, SEED_DATE)


def test_planting_twice_changes_nothing_and_new_seeds_grow_on_the_old(
    tmp_path: Path, seeds: Path, planted: tuple[HarnessRepository, str]
) -> None:
    repository, seed = planted
    assert (
        HarnessRepository.plant(tmp_path / "harness", "task", HarnessRepository.package_in(seeds / "task"))[1] == seed
    )
    (seeds / "task" / "new.py").write_text("x = 1\n")
    _, newer = HarnessRepository.plant(tmp_path / "harness", "task", HarnessRepository.package_in(seeds / "task"))
    assert newer != seed and repository.resolve(f"{newer}^") == seed


def test_the_same_change_is_the_same_commit(planted: tuple[HarnessRepository, str]) -> None:
    repository, seed = planted
    first, again = commit(repository, seed), commit(repository, seed)
    assert first == again
    assert repository.files(first, "task") == {"harness.py": HARNESS.replace("2", "22", 1), "提示.md": "hi\n"}
    assert "+TWO = 22" in repository.diff(seed, first, "task")


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        (PATCH.replace("-TWO = 2", "-TWO = 3"), "does not apply"),
        ("no patch at all", "does not apply"),
        ("--- a/../../out.py\n+++ b/../../out.py\n@@ -0,0 +1 @@\n+x\n", "does not apply"),
        ("--- /dev/null\n+++ b/run.sh\n@@ -0,0 +1 @@\n+rm\n", "outside the edit surface"),
        ("--- /dev/null\n+++ b/.git/hooks/x.py\n@@ -0,0 +1 @@\n+x\n", "does not apply"),
        (
            "diff --git a/l.py b/l.py\nnew file mode 120000\n--- /dev/null\n+++ b/l.py\n@@ -0,0 +1 @@\n+/etc/passwd\n"
            "\\ No newline at end of file\n",
            "mode 120000",
        ),
        ("diff --git a/harness.py b/harness.py\nold mode 100644\nnew mode 100755\n", "mode 100755"),
    ],
    ids=["stale", "garbage", "outside", "surface", "git", "link", "executable"],
)
def test_what_a_patch_may_not_do(planted: tuple[HarnessRepository, str], patch: str, said: str) -> None:
    repository, seed = planted
    with pytest.raises(PatchFailed, match=said):
        commit(repository, seed, patch)


def test_a_branch_moves_by_compare_and_swap(tmp_path: Path, planted: tuple[HarnessRepository, str]) -> None:
    repository, seed = planted
    new = commit(repository, seed)
    repository.start_run("r", seed, tmp_path / "tree")
    repository.start_run("r", seed, tmp_path / "tree")
    with pytest.raises(RepositoryError):
        repository.move("r", new, new + "x")
    repository.move("r", seed, new)
    repository.move("r", seed, new)
    assert repository.resolve("refs/heads/r") == new
    with pytest.raises(RepositoryError):
        repository.move("r", "1" * 40, seed)


def test_a_worktree_follows_unless_a_person_has_edits_in_it(
    tmp_path: Path, planted: tuple[HarnessRepository, str]
) -> None:
    repository, seed = planted
    new, tree = commit(repository, seed), tmp_path / "tree"
    repository.start_run("r", seed, tree)
    repository.move("r", seed, new)
    (tree / "task" / "harness.py").write_text("mine\n")
    assert not repository.follow(tree, seed, new)
    assert (tree / "task" / "harness.py").read_text() == "mine\n"
    (tree / "task" / "harness.py").write_text(HARNESS, encoding="utf-8")
    assert repository.follow(tree, seed, new) and repository.follow(tree, seed, new)
    assert "TWO = 22" in (tree / "task" / "harness.py").read_text(encoding="utf-8")


@pytest.fixture
def halfway(tmp_path: Path) -> tuple[HarnessRepository, Path, str, str]:
    """A worktree of three files and two commits: of the second one file is changed, one gone and one new."""
    old = {"a.py": b"a = 1\n", "b.py": b"b = 1\n", "gone.py": b"g = 1\n"}
    repository, first = HarnessRepository.plant(tmp_path / "harness", "task", old)
    tree = repository.tree_of(first, "task", {"a.py": "a = 2\n", "b.py": "b = 2\n", "new.md": "new\n"})
    second = repository.commit_generation(tree, {}, first, "two", {}, SEED_DATE)
    repository.start_run("r", first, tmp_path / "tree")
    repository.move("r", first, second)
    return repository, tmp_path / "tree", first, second


@pytest.mark.parametrize("done", range(16))
def test_a_worktree_that_a_killed_git_left_between_two_commits_comes_to_the_second(
    done: int, halfway: tuple[HarnessRepository, Path, str, str]
) -> None:
    repository, tree, first, second = halfway
    steps = (
        lambda: (tree / "task" / "a.py").write_text("a = 2\n"),
        lambda: (tree / "task" / "b.py").write_text("b = 2\n"),
        (tree / "task" / "gone.py").unlink,
        lambda: (tree / "task" / "new.md").write_text("new\n"),
    )
    for place, step in enumerate(steps):
        if done >> place & 1:
            step()
    assert repository.follow(tree, first, second)
    assert {path.name for path in (tree / "task").iterdir()} == {"a.py", "b.py", "new.md"}
    assert repository.git.run("-C", str(tree), "status", "--porcelain") == ""


@pytest.mark.parametrize(("name", "text"), [("b.py", "b = 3\n"), ("new.md", "mine\n"), ("gone.py", "g = 2\n")])
def test_what_stands_in_neither_commit_is_a_persons_and_stays(
    name: str, text: str, halfway: tuple[HarnessRepository, Path, str, str]
) -> None:
    repository, tree, first, second = halfway
    (tree / "task" / "a.py").write_text("a = 2\n")
    (tree / "task" / name).write_text(text)
    assert not repository.follow(tree, first, second)
    assert (tree / "task" / name).read_text() == text and (tree / "task" / "a.py").read_text() == "a = 2\n"


@pytest.mark.parametrize("way", ["link", "folder", "file in the place of a folder", "link in the place of a folder"])
def test_nothing_of_a_persons_is_written_over_whatever_it_is(
    way: str, halfway: tuple[HarnessRepository, Path, str, str], tmp_path: Path
) -> None:
    repository, tree, first, second = halfway
    deeper = repository.tree_of(second, "task", {"a.py": "a = 2\n", "deep/er.md": "x\n", "new.md": "new\n"})
    third = repository.commit_generation(deeper, {}, second, "three", {}, SEED_DATE)
    mine = tree / "task" / ("deep" if "place" in way else "new.md")
    (tmp_path / "elsewhere").mkdir()
    if way.startswith("link"):
        mine.symlink_to(tmp_path / "elsewhere")
    elif way == "folder":
        (mine / "of mine").mkdir(parents=True)
    else:
        mine.write_text("mine\n")
    before = mine.lstat()
    assert not repository.follow(tree, first, third)
    assert (mine.lstat().st_ino, mine.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_copy_of_a_repository_leaves_the_one_it_was_copied_from_alone(
    tmp_path: Path, planted: tuple[HarnessRepository, str]
) -> None:
    """The worktree that came along is the original's until it is tied to the copy; a person's edits in it stay."""
    (repository, seed), tree = planted, tmp_path / "tree"
    new = commit(repository, seed)
    repository.start_run("r", seed, tree)
    shutil.copytree(repository.root, tmp_path / "copy" / "harness", symlinks=True)
    shutil.copytree(tree, tmp_path / "copy" / "tree", symlinks=True)
    copy, copied = HarnessRepository(tmp_path / "copy" / "harness"), tmp_path / "copy" / "tree"
    assert not copy.is_tied(copied) and repository.is_tied(tree)
    assert not copy.follow(copied, seed, new), "it is another repository's"
    (copied / "task" / "harness.py").write_text("mine\n")
    copy.start_run("r", seed, copied)
    copy.move("r", seed, new)
    assert copy.is_tied(copied) and not copy.follow(copied, seed, new)
    (copied / "task" / "harness.py").write_text(HARNESS, encoding="utf-8")
    assert copy.follow(copied, seed, new)
    assert "TWO = 22" in (copied / "task" / "harness.py").read_text(encoding="utf-8")
    copy.forget_run("r", copied)
    assert not copied.exists() and copy.resolve("refs/heads/r") is None
    assert repository.is_tied(tree) and repository.resolve("refs/heads/r") == seed
    assert (tree / "task" / "harness.py").read_text(encoding="utf-8") == HARNESS
    assert repository.git.run("-C", str(tree), "status", "--porcelain") == ""


@pytest.mark.parametrize("pruned", [False, True])
def test_a_worktree_that_was_moved_with_its_repository_is_used_again(
    tmp_path: Path, planted: tuple[HarnessRepository, str], pruned: bool
) -> None:
    repository, seed = planted
    new = commit(repository, seed)
    repository.start_run("r", seed, tmp_path / "tree")
    repository.root.rename(tmp_path / "moved")
    (tmp_path / "tree").rename(tmp_path / "there")
    moved, tree = HarnessRepository(tmp_path / "moved"), tmp_path / "there"
    if pruned:
        moved.git.run("worktree", "prune")
    moved.start_run("r", seed, tree)
    moved.start_run("r", seed, tree)
    assert moved.git.run("worktree", "list", "--porcelain").count("worktree ") == 2
    moved.move("r", seed, new)
    assert moved.follow(tree, seed, new)
    assert "TWO = 22" in (tree / "task" / "harness.py").read_text(encoding="utf-8")


def test_a_worktree_that_git_does_not_know_is_forgotten_too(
    tmp_path: Path, planted: tuple[HarnessRepository, str]
) -> None:
    repository, seed = planted
    for run in ("r", "s"):
        repository.start_run(run, seed, tmp_path / run / "harness")
    repository.root.rename(tmp_path / "moved")
    moved = HarnessRepository(tmp_path / "moved")
    moved.start_run("s", seed, tmp_path / "s" / "harness")
    moved.forget_run("r", tmp_path / "r" / "harness")
    moved.forget_run("r", tmp_path / "r" / "harness")
    assert not (tmp_path / "r" / "harness").exists() and moved.resolve("refs/heads/r") is None
    assert moved.is_tied(tmp_path / "s" / "harness")


def test_a_repository_of_a_persons_own_in_its_place_is_left_alone(
    tmp_path: Path, planted: tuple[HarnessRepository, str]
) -> None:
    (repository, seed), tree = planted, tmp_path / "tree"
    new = commit(repository, seed)
    repository.git.run("init", "-q", str(tree))
    (tree / "own").touch()
    repository.start_run("r", seed, tree)
    assert not repository.follow(tree, seed, new) and not repository.is_tied(tree)
    assert sorted(path.name for path in tree.iterdir()) == [".git", "own"]


def test_snapshots_are_written_once_and_hold_the_package_alone(
    tmp_path: Path, planted: tuple[HarnessRepository, str]
) -> None:
    repository, seed = planted
    first = repository.snapshot(seed, "task", tmp_path / "trees")
    assert repository.snapshot(seed, "task", tmp_path / "trees") == first
    assert sorted(path.name for path in first.iterdir()) == ["harness.py", "提示.md"]
    assert [path.name for path in (tmp_path / "trees").iterdir()] == [first.name]


@pytest.mark.parametrize("change", ["edited", "added", "removed", "linked"])
def test_a_snapshot_that_was_changed_is_not_run(
    tmp_path: Path, planted: tuple[HarnessRepository, str], change: str
) -> None:
    repository, seed = planted
    file = repository.snapshot(seed, "task", tmp_path / "trees") / "harness.py"
    if change == "edited":
        file.write_text(HARNESS.replace("1", "7"), encoding="utf-8")
    elif change == "added":
        (file.parent / "__pycache__").mkdir()
        (file.parent / "__pycache__" / "harness.pyc").write_text("x")
    else:
        file.unlink()
    if change == "linked":
        file.symlink_to("/etc/passwd")
    with pytest.raises(RepositoryError, match="is not what was committed"):
        repository.snapshot(seed, "task", tmp_path / "trees")


def test_a_note_is_replaced_and_an_equal_one_left(planted: tuple[HarnessRepository, str]) -> None:
    repository, seed = planted
    repository.note("r", seed, "dev 1")
    before = repository.resolve("refs/notes/sia/r")
    repository.note("r", seed, "dev 1")
    assert repository.resolve("refs/notes/sia/r") == before
    repository.note("r", seed, "dev 2")
    log = subprocess.run(
        ["git", "-C", str(repository.root), "log", "--notes"], capture_output=True, text=True, check=True
    ).stdout
    assert "dev 2" in log and "dev 1" not in log


def test_the_users_own_git_plays_no_part(
    tmp_path: Path, planted: tuple[HarnessRepository, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hooks, identity, signing and a surrounding GIT_DIR of the user's are not looked at."""
    own = tmp_path / "own"
    subprocess.run(["git", "init", "-q", str(own)], check=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(
        "[user]\nname = Somebody\n[commit]\ngpgsign = true\n[core]\nhooksPath = /x\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_DIR", str(own / ".git"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    repository, seed = planted
    new = commit(repository, seed)
    assert "sia-tui" in repository.diff(f"{new}^{{tree}}", new) or repository.resolve(new) == new
    monkeypatch.delenv("GIT_DIR")
    author = subprocess.run(
        ["git", "-C", str(repository.root), "log", "-1", "--format=%an", new],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert author.strip() == "sia-tui"
    assert not any((own / ".git" / "objects").glob("??/*"))


def test_a_package_can_be_laid_down_on_any_generation(planted: tuple[HarnessRepository, str]) -> None:
    """Also on one that differs from the seed, as when a run is branched."""
    repository, seed = planted
    new = commit(repository, seed)
    files = repository.files(new, "task")
    assert repository.subtree(repository.tree_of(new, "task", files), "task") == repository.subtree(new, "task")
    assert repository.files(repository.tree_of(new, "task", {"a.py": "x = 1\n"}), "task") == {"a.py": "x = 1\n"}


@pytest.mark.parametrize(
    "text", ["a\0b", "\ud800", "x" * 300_000, "\x1b]0;t\x07"], ids=["nul", "surrogate", "long", "escape"]
)
def test_odd_text_in_a_note_or_message_wedges_nothing(planted: tuple[HarnessRepository, str], text: str) -> None:
    repository, seed = planted
    repository.note("r", seed, clean(text))
    repository.note("r", seed, clean(text))
    repository.commit_generation(f"{seed}^{{tree}}", {}, seed, clean(text), {"Run": "r"}, SEED_DATE)


def test_a_file_name_that_is_not_text_is_refused(planted: tuple[HarnessRepository, str]) -> None:
    repository, seed = planted
    with pytest.raises(PatchFailed):
        commit(repository, seed, '--- /dev/null\n+++ "b/\\377.py"\n@@ -0,0 +1 @@\n+x\n')
