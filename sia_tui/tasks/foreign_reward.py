"""A reward that asks another project's `evaluate.py --gen-dir` about one case at a time.

Stands alone on the standard library: `tasks import` copies this very file into a task as its `rewards.py`, beside
`evaluator.json`, which says how answers are written down (`form`), where the score stands, and what the least and the most
are that it gives for a case.
"""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

SPEC, RESULTS = "evaluator.json", "results.json"
RUN_S = 600.0
Answers = Sequence[tuple[Any, Any]]
"""(The case's own id, the answer), in order; the same id may come twice."""


class EvaluatorFailed(Exception):
    """It ended without a score; the message is its last line."""


def judge(answer: str, case: dict[str, Any]) -> float:
    """0 to 1: where the score with this answer alone lies between the least and the most there is for a case."""
    spec = _spec(str(Path.cwd()))
    with tempfile.TemporaryDirectory(prefix="evaluate-") as name:
        folder = Path(name)
        write(spec["form"], folder, [(spec["ids"][case["id"]], _read(answer, spec["json"]))])
        found = scores(Path.cwd() / spec["evaluator"], folder, spec["deadline_s"])[spec["score"]]
    if not math.isfinite(found):
        raise EvaluatorFailed(f"{spec['score']} is {found}, which is no score")
    share: float = (found - spec["least"]) / (spec["most"] - spec["least"])
    return min(1.0, max(0.0, share))


@cache
def _spec(folder: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(Path(folder, SPEC).read_text(encoding="utf-8"))
    return told


def _read(answer: str, as_json: bool) -> Any:
    """Where right answers are lists or numbers, one that is JSON is taken for what it says."""
    if not as_json:
        return answer
    try:
        return json.loads(answer)
    except ValueError:
        return answer


def write(form: dict[str, str], folder: Path, answers: Answers) -> None:
    """The file that the evaluator looks for. `kind`: csv, list or details (objects in a list), object (answer by id)."""
    path = folder / form["file"]
    path.parent.mkdir(parents=True, exist_ok=True)
    if form["kind"] == "csv":
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            csv.writer(file).writerows([(form["id"], form["answer"]), *answers])
        return
    told: Any = [{form["id"]: id, form["answer"]: answer} for id, answer in answers]
    if form["kind"] == "details":
        told = {"details": told}
    elif form["kind"] == "object":
        told = {str(id): answer for id, answer in answers}
    path.write_text(json.dumps(told), encoding="ascii")


def scores(evaluator: Path, folder: Path, deadline_s: float = RUN_S, python: str = sys.executable) -> dict[str, float]:
    """Every number in the results.json that it writes for what stands in `folder`, by dotted name."""
    (folder / RESULTS).unlink(missing_ok=True)
    ran = subprocess.run(
        [python, str(evaluator), "--gen-dir", str(folder)], capture_output=True, text=True, timeout=deadline_s
    )
    if ran.returncode != 0 or not (folder / RESULTS).is_file():
        last = (ran.stderr.strip() or ran.stdout.strip()).splitlines()[-1:]
        raise EvaluatorFailed(f"evaluate.py ended with status {ran.returncode}: {''.join(last)[:300]}")
    return numbers(json.loads((folder / RESULTS).read_text(encoding="utf-8")))


def numbers(told: Any, under: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in told.items() if isinstance(told, dict) else ():
        if isinstance(value, dict):
            found |= numbers(value, f"{under}{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[f"{under}{name}"] = float(value)
    return found
