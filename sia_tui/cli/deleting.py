"""`sia-tui delete`: a run with everything that is its own."""

from __future__ import annotations

import argparse

from sia_tui.cli.main import DONE, UsageError
from sia_tui.store.lock import RunHeld, is_held
from sia_tui.store.place import require_in_place
from sia_tui.store.workspace import Workspace


def delete(options: argparse.Namespace) -> int:
    workspace = Workspace.locate(options.workspace)
    paths = workspace.existing(options.run)
    if not options.yes:
        raise UsageError(f"{paths.root} and the branch {paths.name} would be deleted for good; say so with --yes")
    print(deleted(workspace, paths.name))
    return DONE


def deleted(workspace: Workspace, name: str) -> str:
    """One line about what went. Raises UsageError where an engine is alive or something cannot be deleted,
    StoreError for one that is not in its place, or where nothing can be."""
    from sia_tui.engine.deleting import delete_run
    from sia_tui.harness.repository import RepositoryError

    paths = workspace.existing(name)
    require_in_place(paths)
    try:
        delete_run(workspace, paths)
    except RunHeld as held:
        raise UsageError(f"{held}; end it first: sia-tui stop {name}" if is_held(paths.lock) else str(held)) from held
    except (OSError, RepositoryError) as error:
        raise UsageError(f"{paths.root}: not deleted whole ({error}); say it again to delete the rest") from error
    return f"{name}: deleted, with its branch, tags and worktree"
