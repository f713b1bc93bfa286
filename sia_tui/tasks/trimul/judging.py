"""Who scores TriMul's answers: `service`, beside copies of what it needs, on a bench that was set up for a run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sia_tui.core.episodes import Case
from sia_tui.tasks.judge import Judge
from sia_tui.tasks.trimul.programs import Wall, place, plain

DEADLINE_S: Final = 180.0
"""For one answer: gcc's time, a process to start, the calls, and the turns of others."""
_FOLDER: Final = Path(__file__).parent
SERVICE: Final = _FOLDER / "service.py"
_NO_PART: Final = ("__init__", "service", "judging", "grammar", "grammar_triton", "render_c", "render_triton")
"""Of this package's files, what no score depends on, or what is not imported by the service."""


def set_up(folder: Path, wall: Wall, lock: Path, code: Path = _FOLDER) -> None:
    """The places for kernels in `folder`, and its setup.json. The runner is the one in `code`: the verifier's folder."""
    runner = code / "runner.py"
    setup = {
        "candidates": plain(place(folder / "theirs", wall, trusted=False, runner=runner)),
        "ours": plain(place(folder / "ours", wall, trusted=True, runner=runner)),
        "lock": str(lock),
    }
    (folder / "setup.json").write_text(json.dumps(setup), "utf-8")


def judge(folder: Path) -> Judge:
    """The judge that runs in a folder that was, or will be, set up. Its hash is of code alone, the same everywhere."""
    files = [path for path in sorted(_FOLDER.iterdir()) if path.suffix in {".py", ".c"} and path.stem not in _NO_PART]
    beside = {path.name: path.read_bytes() for path in files}
    return Judge(SERVICE, beside, alone=False, folder=folder, deadline_s=DEADLINE_S)


def gold_of(cases: Iterable[Case]) -> dict[str, str]:
    """There is no right answer to compare with: what the verifier is to know of a case is the case."""
    return {case.id: json.dumps(dict(case.inputs), sort_keys=True) for case in cases}
