"""What harness tools are fitted on: the rows of one view, and what prepare() made of them, each written once."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sia_tui.core.hashing import digest
from sia_tui.engine.canary import plant
from sia_tui.harness.launch import Setup
from sia_tui.harness.workers import prepare
from sia_tui.tasks.task import Task
from sia_tui.trees import remove


def rows_folder(root: Path, task: Task, view: str, mark: str | None = None) -> Path:
    """`rows.jsonl` and `labels.json` of a view, under the content's own name; with a `mark`, a planted answer key too."""
    rows, folder = _rows(task, view), root / rows_name(task, view)
    if not folder.exists():
        part = Path(tempfile.mkdtemp(dir=root, prefix="part-"))
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (part / "rows.jsonl").write_text(lines, encoding="utf-8")
        (part / "labels.json").write_text(json.dumps(list(task.labels), ensure_ascii=False), encoding="utf-8")
        part.chmod(0o755)
        _publish(part, folder)
    if mark is not None:
        plant(folder, mark, task.labels)
    return folder


def _rows(task: Task, view: str) -> list[dict[str, Any]]:
    return [{"id": row.id, "inputs": dict(row.inputs), "label": row.label} for row in task.rows(view)]


def rows_name(task: Task, view: str) -> str:
    return digest([_rows(task, view), list(task.labels)])[:16]


def tools_name(files: Mapping[str, str], rows: str, python: Path) -> str:
    """Names the result of prepare(). Any file of the package may be read or imported by it, so all of them count."""
    return digest([rows, str(python), dict(files)])[:16]


async def prepared(root: Path, name: str, setup: Setup, deadline_s: float) -> Path:
    """The folder prepare() wrote; made in the sandbox unless it is there. Raises HarnessBroken, WorkerDied."""
    folder = root / name
    if not folder.exists():
        part = Path(tempfile.mkdtemp(dir=root, prefix="part-"))
        try:
            await prepare(setup.model_copy(update={"tools": part}), deadline_s)
        except BaseException:
            remove(part)
            raise
        part.chmod(0o755)
        _publish(part, folder)
    return folder


def _publish(part: Path, folder: Path) -> None:
    try:
        part.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        remove(part)
