"""`memory TASK`: what agents of a task are told of earlier steps, and a person's hand in it."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sia_tui.cli.main import DONE, UsageError
from sia_tui.cli.reading import readable
from sia_tui.core.forecast import Forecast, tracks
from sia_tui.core.memo import edited, listed, page, told
from sia_tui.core.recall import Memory
from sia_tui.person import whoami
from sia_tui.store.memory import add_note, edits, learned, rebuild, restore, strike
from sia_tui.store.workspace import Workspace
from sia_tui.tasks.registry import available


def memory(options: argparse.Namespace) -> int:
    """Raises UsageError, StoreError."""
    workspace, task = Workspace.locate(options.workspace), options.task
    if task not in available():
        raise UsageError(f"no task {task!r}; there are: {', '.join(available())}")
    if options.add is not None:
        return _add(workspace, task, options.add)
    if options.forget is not None or options.restore is not None:
        return _mark(workspace, task, options.forget, options.restore)
    if options.edit:
        return _edit(workspace, task)
    if options.rebuild:
        workspace.create()
        runs = rebuild(workspace, task, (state for _, state in readable(workspace)))
        print(f"{task}: made again from {runs} run{'' if runs == 1 else 's'}; notes and strikes stay")
        return DONE
    return _show(options, workspace, task)


def _read(workspace: Workspace, task: str) -> tuple[Memory, frozenset[str]]:
    """Everything, and the ids that are struck out of it."""
    own = edits(workspace.db, task)
    return learned(workspace.db, task).joined(own.notes), own.struck


def _show(options: argparse.Namespace, workspace: Workspace, task: str) -> int:
    everything, struck = _read(workspace, task)
    shown = everything.without(struck)
    if options.json:
        print(json.dumps(_data(everything, struck), ensure_ascii=False, indent=2))
        return DONE
    gone = sorted({item.id for item in everything.items} & struck)
    print("\n".join([page(shown), *([f"struck out, not told to agents: {', '.join(gone)}"] if gone else [])]))
    return DONE


def _data(everything: Memory, struck: frozenset[str]) -> dict[str, Any]:
    record = tracks(everything.without(struck).forecasts, everything.task)
    return {
        "task": everything.task,
        "ideas": [asdict(idea) for idea in everything.ideas],
        "clusters": [asdict(found) | {"first": found.first, "last": found.last} for found in everything.clusters],
        "constraints": [asdict(said) for said in everything.constraints],
        "forecasts": [_scored(made) for made in everything.forecasts],
        "pulls": [asdict(pull) | {"pay": pull.pay} for pull in everything.pulls],
        "record": [asdict(held) | {"told": told(held)} for held in record],
        "struck": sorted(struck),
    }


def _scored(made: Forecast) -> dict[str, Any]:
    return asdict(made) | {"sign_right": made.sign_right, "inside": made.inside, "ratio": made.ratio}


def _add(workspace: Workspace, task: str, text: str) -> int:
    if not text.strip():
        raise UsageError("--add: say what agents are to be told")
    workspace.create()
    made = add_note(workspace.db, task, text.strip(), whoami(), _now())
    print(f"{made.id}: told to every agent of {task} from its next proposal on")
    return DONE


def _mark(workspace: Workspace, task: str, forgotten: str | None, restored: str | None) -> int:
    everything, struck = _read(workspace, task)
    known, name = {item.id for item in everything.items}, forgotten or restored or ""
    if name not in known:
        raise UsageError(f"no item {name!r} in the memory of {task}; see: sia-tui memory {task}")
    if restored is not None and name not in struck:
        raise UsageError(f"{name} is not struck out")
    (strike if forgotten is not None else restore)(workspace.db, task, [name])
    print(
        f"{name}: {'no longer told to agents; back with --restore' if forgotten is not None else 'told to agents again'}"
    )
    return DONE


def _edit(workspace: Workspace, task: str) -> int:
    """The list in the person's own editor; what it says when that ends is what holds."""
    workspace.create()
    everything, struck = _read(workspace, task)
    handle, name = tempfile.mkstemp(prefix=f"memory-{task}-", suffix=".txt")
    path = Path(name)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(listed(everything, struck))
    _open(path)
    try:
        said = edited(path.read_text(encoding="utf-8"), everything)
    except (ValueError, OSError) as fault:
        raise UsageError(f"{path}: {fault}; nothing was changed, your list stays there") from fault
    path.unlink()
    strike(workspace.db, task, said.struck - struck)
    restore(workspace.db, task, struck - said.struck)
    for text in said.added:
        add_note(workspace.db, task, text, whoami(), _now())
    dropped, back = len(said.struck - struck), len(struck - said.struck)
    print(f"{task}: {len(said.added)} added, {dropped} struck out, {back} told again")
    return DONE


def _open(path: Path) -> None:
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        ended = subprocess.run([*shlex.split(command), str(path)]).returncode
    except (OSError, ValueError) as fault:
        raise UsageError(f"the editor {command!r} cannot be started ({fault}); set EDITOR") from fault
    if ended != 0:
        path.unlink(missing_ok=True)
        raise UsageError(f"the editor {command!r} ended with {ended}; nothing was changed")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
