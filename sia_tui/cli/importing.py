"""`tasks import FOLDER`: a task of another project's layout becomes one that runs, with what its evaluator pays wrongly."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from sia_tui.cli.main import DONE, FAILED, UsageError
from sia_tui.cli.table import table
from sia_tui.core.text import clean
from sia_tui.store.workspace import Workspace


def import_folder(options: argparse.Namespace, workspace: Workspace) -> int:
    """Raises UsageError, TaskError."""
    from sia_tui.engine.session import SEEDS
    from sia_tui.tasks import foreign, foreign_task, holes

    if not options.task:
        raise UsageError("tasks import FOLDER [--name N]: a folder with data/public, data/private and an evaluate.py")
    folder = Path(options.task)
    name = options.name or _named(folder.resolve().name)
    to = Path(options.folder or name)
    if to.exists():
        raise UsageError(f"{to} is there already: name another folder with --folder")
    needs = Path(options.requirements) if options.requirements else None
    print(f"running {folder.name}'s evaluate.py, unconfined, on made answers", file=sys.stderr)
    found = foreign.read(folder, _python(needs, workspace))
    rows = holes.probe(found)
    alone = holes.span(found) if rows[-1].ok else None
    left_out = foreign_task.bring(found, alone, name, to, SEEDS, needs) if alone else 0
    if options.json:
        told = [{"row": row.row, "level": row.level, "found": row.found, "fix": row.fix} for row in rows]
        print(
            json.dumps({"task": name, "folder": str(to) if alone else None, "rows": told}, ensure_ascii=False, indent=2)
        )
        return DONE if alone else FAILED
    print(table(("row", "", "found", "what to do"), [(r.row, r.level, clean(r.found), r.fix) for r in rows]))
    if alone is None:
        print(f"not imported: {rows[-1].found}", file=sys.stderr)
        return FAILED
    form = found.form or {}
    print(
        f"{to} is a task of {len(found.gold) - left_out} cases; answers go in as {form['file']}, {found.score} is the score"
    )
    if left_out:
        print(f"{left_out} cases stand there twice, inputs and answer alike: one of each was taken")
    print(f"next: sia-tui tasks check {to}; sia-tui run {to / 'run.yaml'}")
    return DONE


def import_environment(options: argparse.Namespace, workspace: Workspace) -> int:
    """Raises UsageError, TaskError."""
    from sia_tui.engine.session import SEEDS
    from sia_tui.tasks import verifiers_task

    try:
        arguments = json.loads(options.arguments)
    except ValueError as error:
        raise UsageError(f"--arguments is not JSON: {error}") from None
    if not isinstance(arguments, dict):
        raise UsageError("--arguments must be a JSON object")
    name = options.name or _named(options.verifiers.rpartition("/")[2])
    to = Path(options.folder or name)
    needs = Path(options.requirements) if options.requirements else None
    brought = verifiers_task.bring(name, options.verifiers, arguments, _python(needs, workspace), needs, to, SEEDS)
    if options.json:
        print(json.dumps({"task": name, "folder": str(to), "cases": brought.cases, "own_answers": brought.own_answers}))
        return DONE
    print(f"{to} is a task of {brought.cases} cases; its own answers, as they stand, earn {brought.own_answers:.2f}")
    if brought.own_answers < verifiers_task.PAID:
        print("that is too little for gold: whether a right answer is paid cannot be tried; see its rubric")
    print(f"next: sia-tui tasks check {to}; name your model in {to / 'run.yaml'}, then sia-tui run {to / 'run.yaml'}")
    return DONE


def _named(said: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", said.lower()).strip("-")


def _python(needs: Path | None, workspace: Workspace) -> str:
    from sia_tui.harness.environment import EnvironmentFailed, ensure_environment

    if needs is None:
        return sys.executable
    workspace.create()
    try:
        return str(
            ensure_environment(needs, workspace.folder("environments"), lambda line: print(line, file=sys.stderr))
        )
    except EnvironmentFailed as fault:
        raise UsageError(str(fault)) from None
