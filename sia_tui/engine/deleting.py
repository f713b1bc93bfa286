"""A run taken away: what git has of it, then its folder. What spans runs stays: test openings, and what was learned."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sia_tui.harness.repository import HarnessRepository
from sia_tui.store.lock import hold, hold_beside
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths, Workspace


def delete_run(workspace: Workspace, paths: RunPaths) -> None:
    """Repeatable. Raises RunHeld while an engine is alive or something is measured beside it, StoreError where nothing can
    be deleted, RepositoryError, OSError."""
    with ExitStack() as stack:
        try:
            stack.enter_context(alone(paths))
        except OSError as error:
            why = f"nothing was deleted, for it cannot be written ({error.strerror})"
            raise StoreError(f"{paths.root}: {why}") from error
        if workspace.harness_repository.is_dir():
            HarnessRepository(workspace.harness_repository).forget_run(paths.name, paths.worktree)
        # Gone at once for every reader, however long its files take.
        doomed = Path(tempfile.mkdtemp(dir=workspace.runs, prefix=".deleted-"))
        paths.root.rename(doomed / paths.name)
    remove(doomed)


@contextmanager
def alone(paths: RunPaths) -> Iterator[None]:
    """Neither an engine nor a command that measures beside it has a part in the run. Raises RunHeld."""
    with ExitStack() as stack:
        stack.enter_context(hold(paths.lock))
        if paths.again.root.is_dir():
            stack.enter_context(hold_beside(paths.again.lock))
        yield


def remove(path: Path) -> None:
    """A file, or a folder with all that is in it, read-only or not. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=_writable)
    else:
        path.unlink()


def _writable(function: Callable[[str], Any], path: str, error: object) -> None:
    """Snapshots are read-only, folders too."""
    parent = Path(path).parent
    parent.chmod(parent.stat().st_mode | stat.S_IRWXU)
    Path(path).chmod(stat.S_IRWXU)
    if function is os.rmdir or Path(path).is_dir():
        shutil.rmtree(path)
    else:
        function(path)
