"""Which git a run's harness is read from: one's own is the workspace's; another user's is what their engine has packed of it,
so that no repository of theirs is opened and nothing of their git's settings obeyed."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from functools import lru_cache
from pathlib import Path

from sia_tui.harness.repository import HarnessRepository, RepositoryError
from sia_tui.store.asked import is_anothers
from sia_tui.store.workspace import RunPaths, Workspace


def repository_of(paths: RunPaths) -> HarnessRepository:
    """To read a run's harness from. Raises RepositoryError where it is another user's and nothing is packed."""
    if not paths.root.is_dir() or not is_anothers(paths):
        return HarnessRepository(Workspace(paths.root.parent.parent).harness_repository)
    try:
        about = paths.history.stat()
    except OSError:
        said = f"{paths.name} is another user's, and no history of its harness is packed; its engine does that"
        raise RepositoryError(said) from None
    return _unpacked(paths.history, (about.st_ino, about.st_mtime_ns, about.st_size))


@lru_cache(maxsize=4)
def _unpacked(packed: Path, stamp: tuple[int, int, int]) -> HarnessRepository:
    """In a folder of this process, and of its user alone, that goes when it does."""
    folder = Path(tempfile.mkdtemp(prefix="sia-history-"))
    repository = HarnessRepository(folder / "harness")
    weakref.finalize(repository, shutil.rmtree, folder, ignore_errors=True)
    repository.unpack(packed)
    return repository
