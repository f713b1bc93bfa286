"""Who scores modules: the same `service`, beside copies of what it needs, on a trial that was set up for a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from sia_tui.tasks.judge import Judge
from sia_tui.tasks.task import TaskError
from sia_tui.tasks.trimul import judging
from sia_tui.tasks.trimul.gpu.home import home
from sia_tui.tasks.trimul.gpu.memory import Device
from sia_tui.tasks.trimul.gpu.ready import last_gpu, missing
from sia_tui.tasks.trimul.programs import Wall

DEADLINE_S: Final = 900.0
"""For one answer: a process with torch, what it compiles, up to a hundred calls, those of the nulls, and others' turns."""
_FOLDER: Final = Path(__file__).parent
_NO_PART: Final = ("__init__", "attacks", "judging", "task")


def set_up(folder: Path, wall: Wall, lock: Path, code: Path, device: Device = "cuda") -> None:
    """The homes of modules in `folder`, and its setup.json. Raises TaskError, in one line, where there is no GPU."""
    if device == "cuda" and (why := missing()):
        raise TaskError(f"TriMul on a GPU: {why}")
    gpu = last_gpu() if device == "cuda" else ""
    homes = {name: home(folder / name, device, wall, code, gpu).plain() for name in ("theirs", "ours")}
    (folder / "setup.json").write_text(json.dumps({"device": device, "gpu": gpu, **homes, "lock": str(lock)}), "utf-8")


def judge(folder: Path) -> Judge:
    """The judge that runs in a folder that was, or will be, set up. Its hash is of code alone, the same everywhere."""
    files = [path for path in sorted(_FOLDER.glob("*.py")) if path.stem not in _NO_PART]
    beside = dict(judging.judge(folder).beside) | {path.name: path.read_bytes() for path in files}
    return Judge(judging.SERVICE, beside, alone=False, folder=folder, deadline_s=DEADLINE_S)
