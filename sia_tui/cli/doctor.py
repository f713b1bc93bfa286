"""`doctor`: what this machine has and lacks; each failing row names the fix."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from sia_tui.cli.main import DONE, FAILED, UsageError
from sia_tui.cli.table import table
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import Workspace, file_system

FREE_GB = 3.0
PACKAGES = ("torch", "transformers", "peft", "aiohttp", "scikit-learn", "sqlite-utils", "GitPython")


@dataclass(frozen=True)
class Row:
    """`needed` rows decide the exit code; the others say what would be better."""

    ok: bool
    what: str
    found: str
    fix: str = ""
    needed: bool = True


def doctor(options: argparse.Namespace) -> int:
    workspace = Workspace.locate(options.workspace)
    rows = [*_rows(workspace), *(_for_config(Path(options.config), workspace) if options.config else ())]
    if options.agents:
        rows += _for_agents(options.config)
    told = [
        (("ok" if row.ok else "FAILS" if row.needed else "note"), row.what, row.found, "" if row.ok else row.fix)
        for row in rows
    ]
    print(
        json.dumps([asdict(row) for row in rows], indent=2)
        if options.json
        else table(("", "what", "found", "fix"), told)
    )
    return DONE if all(row.ok for row in rows if row.needed) else FAILED


def _for_config(path: Path, workspace: Workspace) -> list[Row]:
    from sia_tui.cli.ready import rows_for
    from sia_tui.config import ConfigError, load_config

    try:
        return list(rows_for(load_config(path), path, workspace))
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _for_agents(config: str | None) -> list[Row]:
    from sia_tui.cli.agents import role_rows

    if config is None:
        raise UsageError("doctor --agents asks the models of a config: name it with --config FILE")
    return role_rows(Path(config))


def _rows(workspace: Workspace) -> Iterator[Row]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Row(sys.version_info >= (3, 11), "python", version, "use Python 3.11 or newer")
    yield Row(
        sqlite3.sqlite_version_info >= (3, 37),
        "sqlite",
        sqlite3.sqlite_version,
        "use a Python with SQLite 3.37 or newer",
    )
    yield Row(
        sys.platform == "linux", "system", sys.platform, "runs need Linux; demo, replay and what only reads work here"
    )
    git = shutil.which("git")
    yield Row(git is not None, "git", git or "missing", "apt install git")
    for package in PACKAGES:
        yield _package(package)
    yield from _isolation()
    yield _workspace(workspace)
    yield _space(workspace)
    cores = os.cpu_count() or 1
    yield Row(cores >= 2, "cpu cores", str(cores), "two cores or more; it works with one, slowly", needed=False)


def _package(name: str) -> Row:
    try:
        return Row(True, name, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Row(False, name, "missing", "make install")


def _isolation() -> Iterator[Row]:
    from sia_tui.harness.sandbox import probe

    found = probe()
    yield Row(
        found.bwrap.works,
        "bubblewrap",
        "works" if found.bwrap.works else found.bwrap.why_not,
        found.bwrap.hint,
        needed=False,
    )
    lock = found.landlock
    yield Row(
        lock.works, "landlock", f"ABI {found.landlock_abi}" if lock.works else lock.why_not, lock.hint, needed=False
    )
    yield from _slots()
    level = "bwrap" if found.bwrap.works else "landlock" if lock.works else "none"
    yield Row(
        level != "none",
        "isolation used",
        level,
        "install bubblewrap, or, at your own risk, --set harness.isolation=none",
    )


def _slots() -> Iterator[Row]:
    """What a slot may have besides: nobody needs it."""
    from sia_tui.harness import cgroups, container, uids
    from sia_tui.harness.walls import UIDS, Container

    means, finding = container.found(Container())
    said = f"{Path(means.program).name}, {means.runtime or 'its own runtime'}" if means else finding.why_not
    yield Row(finding.works, "containers", said, finding.hint, needed=False)
    groups = cgroups.hierarchy()
    hint = "where memory and pids are handed down to a group of yours: systemd-run --user --scope -p Delegate=yes"
    held = f"of its own, version {groups.version}" if groups else "this user can make none with memory and pids"
    yield Row(groups is not None, "control group a slot", held, hint, needed=False)
    lack = uids.not_here(UIDS)
    yield Row(not lack, "user number a slot", lack or f"{UIDS[0]} to {UIDS[1]}", "run the engine as root", needed=False)


def _workspace(workspace: Workspace) -> Row:
    try:
        workspace.require_local()
    except StoreError as error:
        return Row(False, "workspace", str(error), "choose another with --workspace or SIA_WORKSPACE")
    writable = os.access(existing(workspace.root), os.W_OK)
    found = f"{workspace.root} ({file_system(workspace.root)})"
    return Row(writable, "workspace", found, "make it writable, or choose another")


def _space(workspace: Workspace) -> Row:
    free = shutil.disk_usage(existing(workspace.root)).free / 1e9
    fix = f"free {FREE_GB:.0f} GB, or choose another disk with --workspace"
    return Row(free >= FREE_GB, "free disk", f"{free:.1f} GB", fix)


def existing(path: Path) -> Path:
    """The nearest folder that is there."""
    return path if path.exists() else existing(path.parent)
