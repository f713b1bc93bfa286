"""Git's own verbs on one repository: walled off from the user's configuration and hooks, with a deadline, locks waited for.

GitPython is used only to run git (`Git.execute` keeps no helper processes open); trees are built through a private
index file, so no working copy is needed and a crash leaves nothing half-applied.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from git.cmd import Git
from git.exc import GitCommandError

DEADLINE_S = 60.0
LOCKED_S, LOCK_POLL_S = 3.0, 0.1
"""How long another git is waited for."""
_LOCKED = re.compile(r"'(?P<path>[^']+\.lock)': File exists")
_AUTHOR = {"NAME": "sia-tui", "EMAIL": "sia-tui@localhost"}
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "protocol.allow=never",
    "core.autocrlf=false",
    "commit.gpgSign=false",
    "core.quotePath=false",
    "gc.auto=0",
)


class RepositoryError(Exception):
    """Git refused; the message is its last line."""


class Plumbing:
    """Every method raises RepositoryError where git refuses; `run`, `text` and `raw` take its arguments as they are."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._git = Git(str(root))

    def resolve(self, name: str) -> str | None:
        try:
            return self.run("rev-parse", "--verify", "--quiet", name) or None
        except RepositoryError:
            return None

    def must(self, name: str) -> str:
        found = self.resolve(name)
        if found is None:
            raise RepositoryError(f"{name}: not in the harness repository {self._root}")
        return found

    def commit_tree(self, tree: str, parent: str | None, message: str, at: str) -> str:
        dates = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="replace") as file:
            file.write(message)
            file.flush()
            return self.run("commit-tree", tree, *(("-p", parent) if parent else ()), "-F", file.name, env=dates)

    def swap(self, ref: str, old: str | None, new: str) -> None:
        self.run("update-ref", ref, new, old or "0" * 40)

    def write_blob(self, data: bytes) -> str:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            return self.run("hash-object", "-w", "--no-filters", file.name)

    def show(self, name: str) -> str:
        return self.raw("cat-file", "blob", name).decode("utf-8", "replace")

    @contextlib.contextmanager
    def index(self) -> Iterator[dict[str, str]]:
        with tempfile.TemporaryDirectory(prefix="sia-index-") as folder:
            yield {"GIT_INDEX_FILE": str(Path(folder) / "index")}

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        return self.raw(*arguments, env=env).decode("utf-8", "replace").strip()

    def text(self, *arguments: str) -> str:
        """As it stands, white space at its ends too."""
        return self.raw(*arguments).decode("utf-8", "replace")

    def raw(self, *arguments: str, env: Mapping[str, str] | None = None) -> bytes:
        if odd := next((one for one in (*arguments, *(env or {}).values()) if "\0" in one), None):
            raise RepositoryError(
                f"{odd[:100]!r} holds a NUL, as no name in git does: the run's log is damaged; restore its backup"
            )
        variables = [f"{name}={value}" for name, value in {**_environment(), **(env or {})}.items()]
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        command = ["env", "-i", *variables, "git", *settings, *arguments]
        end = time.monotonic() + LOCKED_S
        while True:
            try:
                output = self._git.execute(
                    command, stdout_as_string=False, strip_newline_in_stdout=False, kill_after_timeout=DEADLINE_S
                )
                break
            except GitCommandError as error:
                said = str(error.stderr)
                waited = time.monotonic() > end
                if _LOCKED.search(said) is None or (not self._unlocked(said, waited) and waited):
                    raise self._refused(arguments[0], error) from error
                time.sleep(LOCK_POLL_S)
        assert isinstance(output, bytes)
        return output

    def _unlocked(self, said: str, waited: bool) -> bool:
        """Whether a lock that git was killed over is out of the way: no git of ours lives as long as it lay there. One that
        somebody has open is theirs, and so is a worktree's index: people work in those, and git closes that file while
        their editor is open. One of a time to come was left before the clock went back, or by a git that was at work then and
        has had its time once we have `waited`."""
        found = _LOCKED.search(said)
        path = Path(found["path"]) if found else None
        if path is None or not path.resolve().is_relative_to(self._root.resolve()):
            return False
        if path.name == "index.lock" and path.parent.parent.name == "worktrees":
            return False
        with contextlib.suppress(OSError):
            age = time.time() - path.stat().st_mtime
            if (age > DEADLINE_S or (waited and age < -DEADLINE_S)) and not _open_anywhere(path.resolve()):
                path.unlink()
                return True
        return False

    def _refused(self, verb: str, error: GitCommandError) -> RepositoryError:
        if error.status == 127:
            return RepositoryError("git is not installed; get it with: apt install git")
        if found := _LOCKED.search(str(error.stderr)):
            return RepositoryError(
                f"git {verb}: {found['path']} is held by another git; end that, or delete the file if there is none"
            )
        lines = str(error.stderr).removeprefix("\n  stderr: ").strip("' \n").splitlines()
        return RepositoryError(f"git {verb}: {lines[-1].strip() if lines else 'failed'}")


def _open_anywhere(path: Path) -> bool:
    """In any process that this one may look at."""
    for process in Path("/proc").glob("[0-9]*"):
        opened: list[Path] = []
        with contextlib.suppress(OSError):
            opened = list((process / "fd").iterdir())
        for file in opened:
            with contextlib.suppress(OSError):
                if file.readlink() == path:
                    return True
    return False


def _environment() -> dict[str, str]:
    """All that git gets to see: nothing of the user's configuration, identity or surrounding repository."""
    people = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _AUTHOR.items()}
    return {
        **people,
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
    }
