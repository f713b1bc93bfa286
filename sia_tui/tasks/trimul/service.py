"""The verifier as a process: `python -m sia_tui.tasks.trimul.service SETUP.json`.

Speaks what the label verifier speaks, JSON lines on stdin and stdout: {"ready": digest} once it is up; {"id", "case",
"answer"} in, {"id", "score"} or {"id", "unknown"} out; {"open": FILE} adds the cases of another file. The setup names the
two places with their walled commands, the file to lock, and the cases by id. When the machine, not a candidate, is at
fault the process ends: whoever started it starts another, and nothing was judged.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PLANS = ("grammar.py", "render_c.py")
"""Of this package, what no score depends on."""


def code_hash() -> str:
    """sha256 (hex) of all that decides a score: this package's code and our kernels."""
    files = sorted(path for path in Path(__file__).parent.iterdir() if path.suffix in {".py", ".c"})
    each = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.name not in PLANS]
    return hashlib.sha256("".join(each).encode()).hexdigest()


def main(path: Path) -> None:
    os.environ.update(dict.fromkeys(THREADS, "1"))
    from sia_tui.tasks.trimul.judge import Judge
    from sia_tui.tasks.trimul.programs import place_from

    content = path.read_bytes()
    setup = json.loads(content)
    known: dict[str, Mapping[str, str]] = dict(setup["cases"])
    judge = Judge(place_from(setup["candidates"]), place_from(setup["ours"]), Path(setup["lock"]))
    with judge:
        _say({"ready": hashlib.sha256(content).hexdigest()})
        for line in sys.stdin:
            request = json.loads(line)
            _say({"id": request["id"], **_answer(request, known, judge)})


def _answer(request: Mapping[str, Any], known: dict[str, Mapping[str, str]], judge: Any) -> dict[str, Any]:
    from sia_tui.tasks.trimul.cases import shape_of

    if "open" in request:
        content = Path(request["open"]).read_bytes()
        known.update(json.loads(content)["cases"])
        return {"opened": hashlib.sha256(content).hexdigest()}
    inputs = known.get(request["case"])
    if inputs is None:
        return {"unknown": request["case"]}
    return {"score": asdict(judge.score(request["answer"], shape_of(inputs)))}


def _say(message: Mapping[str, Any]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
