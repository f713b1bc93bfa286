"""A run's branch as plain files. Such a folder and the repository name each other by whole paths, which a workspace takes
along when it is copied or moved: they then lead to another repository, or to none."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from sia_tui.harness.plumbing import Plumbing, RepositoryError


def is_tied(root: Path, worktree: Path) -> bool:
    """Whether the repository at `root` and the worktree name each other."""
    place = _named(worktree / ".git")
    return place is not None and place.parent == _places(root) and _named(place / "gitdir") == _link(worktree)


def tie(git: Plumbing, root: Path, run: str, worktree: Path, commit: str) -> None:
    """Have them name each other; a folder that is not there is made. Files that are stay as they are, and those that
    differ from `commit` are a person's edits. No other repository is touched. Raises RepositoryError."""
    # A folder of that name is a repository of somebody's own.
    if is_tied(root, worktree) or (worktree / ".git").is_dir():
        return
    try:
        untie(root, run)
        if not worktree.exists():
            git.run("worktree", "add", "-q", "--force", str(worktree), run)
            return
        with tempfile.TemporaryDirectory(prefix="sia-worktree-") as folder:
            made = Path(folder) / worktree.name
            git.run("worktree", "add", "-q", "--force", "--no-checkout", str(made), run)
            git.run("-C", str(made), "read-tree", commit)
            _take_over(made, worktree)
    except OSError as error:
        raise RepositoryError(f"{worktree}: cannot be tied to {root} ({error.strerror})") from error


def untie(root: Path, run: str) -> None:
    """Forget the worktrees of the run's branch that are not there, or are another repository's by now. Raises OSError."""
    for place in _places(root).glob("*"):
        link = _named(place / "gitdir")
        if _head(place) == f"ref: refs/heads/{run}" and (link is None or _named(link) != place):
            shutil.rmtree(place)


def follow(git: Plumbing, worktree: Path, old: str, new: str) -> bool:
    """False, and untouched, if anything in it stands in neither commit: only a person can have written that. Files of both
    are what a git leaves that was killed on the way. Raises RepositoryError."""
    if _edited(git, worktree, old, new):
        return False
    git.run("-C", str(worktree), "reset", "-q", "--hard", new)
    return True


def _edited(git: Plumbing, worktree: Path, old: str, new: str) -> bool:
    def differ(*commits: str) -> set[str]:
        return set(git.run("-C", str(worktree), "diff", "--name-only", "-z", *commits, "--").split("\0")) - {""}

    if differ(old) & differ(new):
        return True
    # What git does not know of yet it does not compare, and would write over.
    return any(_in_the_way(git, worktree, path, f"{new}:{path}") for path in differ("--diff-filter=A", old, new))


def _in_the_way(git: Plumbing, worktree: Path, path: str, blob: str) -> bool:
    """Whether something of a person's has the name of a file that is to come, or of a folder of it."""
    place = worktree / path
    around = [folder for folder in place.parents if folder != worktree and folder.is_relative_to(worktree)]
    if any(folder.is_symlink() or folder.is_file() for folder in around):
        return True
    if place.is_file() and not place.is_symlink():
        return git.run("hash-object", "--no-filters", str(place)) != git.resolve(blob)
    return place.is_symlink() or place.exists()


def _take_over(made: Path, worktree: Path) -> None:
    place = _named(made / ".git")
    if place is None:
        raise RepositoryError(f"git worktree: {made} names no repository")
    (worktree / ".git").write_text((made / ".git").read_text(encoding="utf-8"), encoding="utf-8")
    (place / "gitdir").write_text(f"{_link(worktree)}\n", encoding="utf-8")


def _places(root: Path) -> Path:
    """Where the repository has what it knows of each of its worktrees."""
    return (root / ".git" / "worktrees").resolve()


def _link(worktree: Path) -> Path:
    return (worktree / ".git").resolve()


def _named(file: Path) -> Path | None:
    """The path that such a file holds; None where there is none."""
    try:
        text = file.read_text(encoding="utf-8").removeprefix("gitdir: ").strip()
        return (file.parent / text).resolve() if text else None
    except (OSError, ValueError):
        return None


def _head(place: Path) -> str:
    try:
        return (place / "HEAD").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
