"""What harness tools are fitted on: the rows of one view, and what prepare() made of them, each written once."""

from __future__ import annotations

import ast
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sia_tui.core.hashing import digest
from sia_tui.harness.launch import Setup
from sia_tui.harness.workers import prepare
from sia_tui.tasks.task import Task


def rows_folder(root: Path, task: Task, view: str) -> Path:
    """`rows.jsonl` and `labels.json` of a view, under the content's own name."""
    rows = [{"id": row.id, "inputs": dict(row.inputs), "label": row.label} for row in task.rows(view)]
    folder = root / digest([rows, list(task.labels)])[:16]
    if not folder.exists():
        part = Path(tempfile.mkdtemp(dir=root, prefix="part-"))
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (part / "rows.jsonl").write_text(lines, encoding="utf-8")
        (part / "labels.json").write_text(json.dumps(list(task.labels), ensure_ascii=False), encoding="utf-8")
        part.chmod(0o755)
        _publish(part, folder)
    return folder


def tools_name(files: Mapping[str, str], rows: Path) -> str:
    """Names the result of prepare(): it depends on the rows, tools.py, the modules that imports, and data files.

    Prompts (.md) are left out, so that a patch of one does not fit every view anew.
    """
    return digest([rows.name, {path: files[path] for path in _closure(files, "tools.py")}])[:16]


async def prepared(root: Path, name: str, setup: Setup, deadline_s: float) -> Path:
    """The folder prepare() wrote; made in the sandbox unless it is there. Raises HarnessBroken, WorkerDied."""
    folder = root / name
    if not folder.exists():
        part = Path(tempfile.mkdtemp(dir=root, prefix="part-"))
        try:
            await prepare(setup.model_copy(update={"tools": part}), deadline_s)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
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
        shutil.rmtree(part, ignore_errors=True)


def _closure(files: Mapping[str, str], start: str) -> list[str]:
    """The package's own modules that `start` leads to, with everything that is neither code nor prompt."""
    found, queue = {path for path in files if not path.endswith((".py", ".md"))}, [start]
    while queue:
        path = queue.pop()
        if path in files and path not in found:
            found.add(path)
            queue += [f"{name}.py" for name in _imports(files[path])]
    return sorted(found)


def _imports(text: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(text)))
    plain = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {(node.module or "").split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
