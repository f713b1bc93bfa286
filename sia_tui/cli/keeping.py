"""`backup`, `restore` and `gc`: what keeps runs, and what keeps a workspace small."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sia_tui.cli.main import DONE, Failure, UsageError
from sia_tui.cli.reading import pass_over
from sia_tui.cli.table import table
from sia_tui.core.room import unsaved
from sia_tui.core.text import clean, one_line
from sia_tui.store.lock import RunHeld, using
from sia_tui.store.workspace import Workspace


def backup(options: argparse.Namespace) -> int:
    from sia_tui.config import ConfigError
    from sia_tui.engine.keeping import back_up
    from sia_tui.harness.repository import RepositoryError

    workspace, out = Workspace.locate(options.workspace), Path(options.out).absolute()
    if options.all == (options.run is not None):
        raise UsageError("name a run, or say --all: sia-tui backup RUN|--all OUT")
    if options.all:
        pass_over(workspace)
    names = sorted(workspace.run_names()) if options.all else [workspace.existing(options.run).name]
    if not names:
        raise UsageError(f"no runs in {workspace.root}")
    if out.exists():
        raise UsageError(f"{out} is there already; choose another name")
    try:
        size = back_up(workspace, names, out)
    except (OSError, RepositoryError, ConfigError) as error:
        raise Failure(unsaved(error, out)) from error
    said = f"{names[0]}" if len(names) == 1 else f"{len(names)} runs"
    print(
        f"{out}: {said}, {size / 1e6:.1f} MB, texts and adapters included; lay it out with: sia-tui restore {out.name}"
    )
    return DONE


def restore(options: argparse.Namespace) -> int:
    from sia_tui.engine.keeping import restore as lay_out
    from sia_tui.harness.repository import RepositoryError

    workspace = Workspace.locate(options.workspace)
    try:
        workspace.create()
        # What no run names yet `gc` would take.
        with using(workspace.root, "sia-tui restore"):
            names = lay_out(workspace, Path(options.file))
    except RunHeld as held:
        raise UsageError(f"nothing was restored: {held}") from held
    except FileNotFoundError as error:
        raise UsageError(f"{error.filename}: no such file") from error
    except (OSError, RepositoryError) as error:
        raise Failure(f"{options.file}: {one_line(str(error), 300)}") from error
    for name in names:
        print(f"{name}: restored to {workspace.run(name).root}; check it with: sia-tui verify {name}")
    return DONE


def gc(options: argparse.Namespace) -> int:
    from sia_tui.engine.garbage import collect, garbage

    workspace = Workspace.locate(options.workspace)
    found = garbage(workspace)
    total = f"{sum(item.size for item in found) / 1e6:,.1f} MB"
    if options.json:
        told = [{"path": str(item.path), "what": item.what, "bytes": item.size} for item in found]
        print(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        rows = [
            (f"{item.size / 1e6:,.1f} MB", item.what, clean(str(item.path.relative_to(workspace.root))))
            for item in found
        ]
        print(table(("size", "what", "where"), rows) if found else "nothing: every run needs what is here")
    if not found or options.dry_run:
        return DONE
    if not options.yes and not _agreed(len(found), total):
        raise UsageError("nothing was deleted; say so with --yes")
    try:
        gone = collect(workspace, found)
    except RunHeld as held:
        raise UsageError(f"nothing was deleted: {held}") from held
    except OSError as error:
        raise Failure(f"not deleted whole ({error}); say it again to delete the rest") from error
    if not options.json:
        print(f"deleted: {len(gone)}, {sum(item.size for item in gone) / 1e6:,.1f} MB")
    return DONE


def _agreed(count: int, total: str) -> bool:
    if not sys.stdin.isatty():
        return False
    try:
        return input(f"delete all {count} ({total})? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
