"""`tasks ls|get|check`: what there is to solve, its data, and whether the data can be trusted."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sia_tui.cli.main import DONE, FAILED, UsageError
from sia_tui.cli.table import table
from sia_tui.store.workspace import Workspace
from sia_tui.tasks.registry import available, load_task
from sia_tui.tasks.task import TaskError


def tasks(options: argparse.Namespace) -> int:
    workspace = Workspace.locate(options.workspace)
    try:
        if options.action == "ls":
            return _ls(options, workspace)
        name = options.task or available()[0]
        if name not in available():
            raise UsageError(f"no task {name!r}; there are: {', '.join(available())}")
        return _get(options, workspace) if options.action == "get" else _check(options, workspace, name)
    except TaskError as error:
        print(f"sia-tui: {error}", file=sys.stderr)
        return FAILED


def _ls(options: argparse.Namespace, workspace: Workspace) -> int:
    told = [
        {"task": name, "fetched": (workspace.root / "tasks" / name / "manifest.json").is_file()} for name in available()
    ]
    rows = [
        (line["task"], "fetched" if line["fetched"] else f"fetch it with: sia-tui tasks get {line['task']}")
        for line in told
    ]
    print(json.dumps(told, indent=2) if options.json else table(("task", "data"), rows))
    return DONE


def _get(options: argparse.Namespace, workspace: Workspace) -> int:
    from sia_tui.tasks import lawbench

    workspace.create()
    wheel = Path(options.wheel) if options.wheel else None
    folder = lawbench.fetch(workspace.folder("tasks"), lambda line: print(line, file=sys.stderr), wheel=wheel)
    print(json.dumps({"task": lawbench.NAME, "folder": str(folder)}) if options.json else folder)
    return DONE


def _check(options: argparse.Namespace, workspace: Workspace, name: str) -> int:
    from sia_tui.tasks.check import check

    found = check(load_task(name, workspace.root / "tasks" / name))
    told = [{"ok": finding.ok, "what": finding.what, "hint": finding.hint} for finding in found]
    rows = [("ok" if f.ok else "FAILS", f.what, f.hint) for f in found]
    print(json.dumps(told, ensure_ascii=False, indent=2) if options.json else table(("", "check", "what to do"), rows))
    return DONE if all(finding.ok for finding in found) else FAILED
