"""The run that a folder holds, against the name that the folder has: git, gates and memory go by the run's own."""

from __future__ import annotations

import shlex
from contextlib import closing, suppress
from pathlib import Path

from sia_tui.store.reader import RunReader
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths, is_run_name


def misplaced(paths: RunPaths, run: str) -> str | None:
    """One line where the folder was renamed, or is a copy; None for a run in its place, and for what is no run's name: such
    a log is damaged, which is told by whoever needs more of it."""
    if run == paths.name or not is_run_name(run):
        return None
    home = paths.root.parent / run
    if home.exists():
        more = "copy a run with: sia-tui backup, sia-tui restore FILE --workspace DIR"
        return f"{paths.root} holds the run {run}, and {home} is there too: move one of them away; {more}"
    places = " ".join(shlex.quote(str(path)) for path in (paths.root, home))
    return f"{paths.root} holds the run {run}: move it back: mv {places}"


def nameless(folder: Path) -> str:
    """One line about what `Workspace.misnamed` found."""
    return f"runs/{shlex.quote(folder.name)} is no run name: rename it or move it out of runs/"


def require_in_place(paths: RunPaths) -> None:
    """For whatever changes a run or keeps it. Raises StoreError where its folder is not the one that its name says; what
    is wrong with a store that cannot be read others say."""
    run = ""
    with suppress(StoreError), closing(RunReader(paths.db)) as reader:
        run = reader.run()
    if (told := misplaced(paths, run)) is not None:
        raise StoreError(told)
