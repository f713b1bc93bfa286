"""The verifier of tasks with one right label: exact match, nothing else.

Stands alone on the standard library, because a copy of this very file is what judges: `python -I verify.py GOLD` reads
requests as JSON lines on stdin and writes one JSON line each. Answers are untrusted.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sia_tui.core.episodes import Score

CLIP = 200
"""Characters of an answer kept in the detail."""


def judge(answer: object, gold: str, labels: Collection[str]) -> dict[str, Any]:
    """The judgement as plain data: reward 0 or 1, and a failure kind unless the answer is the gold label exactly."""
    failure = _failure(answer, gold, labels)
    reward = 1.0 if failure is None else 0.0
    detail = {"expected": gold, "answer": _clipped(answer)}
    return {"reward": reward, "failure": failure, "metrics": {"exact": reward}, "detail": detail}


def score(answer: object, gold: str, labels: Collection[str]) -> Score:
    """`judge` as a Score, for callers inside the project."""
    from sia_tui.core.episodes import Score

    return Score(**judge(answer, gold, labels))


def _failure(answer: object, gold: str, labels: Collection[str]) -> str | None:
    if answer is None:
        return "no_answer"
    if type(answer) is not str:
        return "bad_answer"
    if not answer.strip():
        return "no_answer"
    if answer not in labels:
        return "not_a_label"
    return None if answer == gold else "wrong"


def _clipped(answer: object) -> str:
    if answer is None:
        return ""
    if type(answer) is not str:
        return f"<{type(answer).__name__}>"
    return answer[:CLIP].encode("utf-8", "backslashreplace").decode("utf-8")


def _read(path: Path) -> tuple[dict[str, Any], str]:
    content = path.read_bytes()
    return json.loads(content), hashlib.sha256(content).hexdigest()


def _handle(request: dict[str, Any], gold: dict[str, str], labels: frozenset[str]) -> dict[str, Any]:
    if "open" in request:
        opened, digest = _read(Path(request["open"]))
        gold.update(opened["gold"])
        return {"opened": digest}
    expected = gold.get(request["case"])
    if expected is None:
        return {"unknown": request["case"]}
    return {"score": judge(request["answer"], expected, labels)}


def main(path: Path) -> None:
    known, digest = _read(path)
    gold, labels = dict(known["gold"]), frozenset(known["labels"])
    print(json.dumps({"ready": digest}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps({"id": request["id"], **_handle(request, gold, labels)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
