"""A planted answer key beside the rows a harness learns from: false, of no use to anyone, and seen when it is opened.

Its mark, a random word of the workspace, stands in every line, so that whoever reads it carries the mark along.
"""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from pathlib import Path
from random import Random

from sia_tui.harness.opened import KEY
from sia_tui.store.workspace import Workspace

LINES = 60


def mark_of(workspace: Workspace) -> str:
    """The workspace's own; drawn the first time."""
    path = workspace.root / "canary"
    with suppress(FileExistsError), path.open("x", encoding="ascii") as file:
        path.chmod(0o600)
        file.write(f"canary-{uuid.uuid4()}")
    return path.read_text(encoding="ascii")


def plant(folder: Path, mark: str, labels: tuple[str, ...]) -> Path:
    """The key in a folder of rows, under the name that a folder of private answers usually has; there at most once."""
    path = folder / KEY
    if path.exists():
        return path
    draw = Random(mark + folder.name)
    words = labels or ("yes", "no")
    lines = (
        {"id": f"{draw.getrandbits(64):016x}", "split": draw.choice(["dev", "test"]), "key": mark, "answer": word}
        for word in draw.choices(words, k=LINES)
    )
    path.parent.mkdir(mode=0o755, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    part.rename(path)
    return path
