"""From what was found of another project's task to a folder that runs."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from sia_tui.tasks import foreign_reward, own
from sia_tui.tasks.foreign import Foreign
from sia_tui.tasks.scaffold import Ordered, new
from sia_tui.tasks.task import TaskError

REFERENCE = "reference"
"""Where the other project's own files lie in the task."""
LARGEST = 64 * 2**20
LEAST_S = 30.0
AT_ONCE = 2


def bring(
    found: Foreign, alone: tuple[float, float, float], name: str, to: Path, seeds: Path, needs: Path | None
) -> int:
    """Write the task; how many cases were left out because they stand there twice. `alone` as holes.span gives it; `needs`
    are the evaluator's requirements. Raises TaskError."""
    least, most, seconds = alone
    with tempfile.TemporaryDirectory(prefix="import-") as scratch:
        cases = Path(scratch) / "cases.jsonl"
        kept = _kept(found)
        cases.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        ids = dict(zip((line.id for line in own.read_cases(cases)), kept.values(), strict=True))
        spec = {
            "evaluator": f"{REFERENCE}/{found.evaluator.relative_to(found.folder).as_posix()}",
            "form": found.form,
            "score": found.score,
            "least": least,
            "most": most,
            "json": any(not isinstance(gold, str) for gold in found.gold.values()),
            "deadline_s": foreign_reward.RUN_S,
            "ids": ids,
        }
        reward: dict[str, Any] = {
            "function": f"{foreign_reward.__file__}:judge",
            "deadline_s": max(LEAST_S, round(20 * seconds)),
            "at_once": AT_ONCE,
            "files": [foreign_reward.SPEC, f"{REFERENCE}/**/*"],
        }
        if needs is not None:
            reward["requirements"] = str(needs)
        beside = _files(found.folder) | {foreign_reward.SPEC: json.dumps(spec, ensure_ascii=False, indent=1).encode()}
        new(Ordered(name, cases, reward, found.description, beside=beside), to, seeds)
    return len(found.gold) - len(kept)


def _kept(found: Foreign) -> dict[str, Any]:
    """Each case as a line of cases.jsonl, with the id it has there; of those that are alike in all, one."""
    lines: dict[str, Any] = {}
    for id, gold in found.gold.items():
        lines.setdefault(json.dumps({"inputs": found.inputs[id], "gold": gold}, ensure_ascii=False), id)
    return lines


def _files(folder: Path) -> dict[str, bytes]:
    """What the evaluator may look for where it looks for it: everything but what other programs left."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    paths = [path for path in paths if not any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)]
    if (size := sum(path.stat().st_size for path in paths)) > LARGEST:
        raise TaskError(f"{folder} holds {size // 2**20} MiB, at most {LARGEST // 2**20} are taken: leave data out")
    return {f"{REFERENCE}/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in paths}
