"""`sia-tui verify`: whether everything a run is made of is there and agrees."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from sia_tui.cli.main import DONE, FAILED, UsageError
from sia_tui.cli.table import table
from sia_tui.core.text import clean, one_line
from sia_tui.store.asked import is_anothers
from sia_tui.store.lock import RunHeld, hold
from sia_tui.store.place import require_in_place
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writable import writing


def verify(options: argparse.Namespace) -> int:
    """Exit code 1 where something is broken; what is merely behind the log breaks nothing."""
    from sia_tui.engine.verifying import verify as look

    workspace = Workspace.locate(options.workspace)
    paths = workspace.existing(options.run)
    require_in_place(paths)
    if options.mend:
        _mend(workspace, paths)
    found = look(workspace, paths, lambda line: print(one_line(line, 600), file=sys.stderr))
    broken = [check for check in found if check.level == "broken"]
    if options.json:
        print(json.dumps([asdict(check) for check in found], ensure_ascii=False, indent=2))
    else:
        rows = [(_LEVELS[one.level], one.name, one_line(clean(one.told), 300), clean(one.do)) for one in found]
        print(table(("", "what", "found", "what to do"), rows))
        print(f"\n{paths.name}: {f'{len(broken)} of {len(found)} checks fail' if broken else 'whole'}")
    return FAILED if broken else DONE


_LEVELS = {"ok": "ok", "behind": "note", "broken": "BROKEN"}


def _mend(workspace: Workspace, paths: RunPaths) -> None:
    """Git brought in line with the log, as an engine does at every turn. Raises UsageError, StoreError."""
    from contextlib import closing

    from sia_tui.engine.history import follow
    from sia_tui.harness.repository import HarnessRepository, RepositoryError
    from sia_tui.store.reader import RunReader

    if is_anothers(paths):
        raise UsageError(f"{paths.name} is another user's: its git is brought in line by their engine")
    try:
        with writing(paths), hold(paths.lock), closing(RunReader(paths.db)) as reader:
            state = reader.state()
            if state.generations:
                follow(state, HarnessRepository(workspace.harness_repository), paths.worktree)
    except RunHeld as held:
        raise UsageError(f"{held}; it brings git in line by itself") from held
    except RepositoryError as error:
        raise UsageError(f"git could not be brought in line: {error}") from error
