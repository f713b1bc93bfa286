"""A Python cell over trajectories: an agent's script, in the harness' sandbox, beside one file of JSON lines."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

from sia_tui.agents.protocol import Declined, Reading
from sia_tui.engine.session import Session
from sia_tui.harness.launch import Limits, Setup
from sia_tui.harness.workers import HarnessBroken, WorkerDied, prepare

DEADLINE_S = 60.0
PRINTED = 24_000
"""Characters of what the script printed that come back."""
_LIMITS = Limits(memory_mb=4096, scratch_mb=64, tools_mb=64, cpu_s=90)

_CELL = """
import contextlib, io, os, traceback

def prepare(rows, out):
    printed = io.StringIO()
    script = __import__("pathlib").Path(__file__).with_name("script.txt").read_text(encoding="utf-8")
    os.chdir(rows)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            exec(compile(script, "cell.py", "exec"), {"__name__": "__main__"})
        except SystemExit:
            pass
        except BaseException:
            traceback.print_exc()
    text = printed.getvalue().encode("utf-8", "backslashreplace")
    (out / "printed.txt").write_bytes(text[:4 * %d])
"""


async def run_cell(session: Session, code: str, readings: Iterable[Reading]) -> str:
    """What the script printed, a traceback included. Raises Declined when it was killed."""
    with tempfile.TemporaryDirectory(dir=session.paths.root, prefix="cell-") as name:
        folder = Path(name)
        harness, rows, out = (folder / part for part in ("harness", "rows", "out"))
        for part in (harness, rows, out):
            part.mkdir(mode=0o755)
        folder.chmod(0o755)
        (harness / "tools.py").write_text(_CELL % PRINTED, encoding="utf-8")
        (harness / "script.txt").write_text(code, encoding="utf-8", errors="backslashreplace")
        with (rows / "trajectories.jsonl").open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(json.dumps(_row(one), ensure_ascii=False) + "\n" for one in readings)
        setup = Setup(
            level=session.level,
            python=await session.environment(),
            harness=harness,
            rows=rows,
            tools=out,
            log=session.paths.logs / "cell.log",
            limits=_LIMITS,
            walls=session.config.engine.walls,
        )
        try:
            await prepare(setup, DEADLINE_S)
        except (WorkerDied, HarnessBroken) as death:
            raise Declined(f"the script did not end well: {death}") from None
        return (out / "printed.txt").read_text(encoding="utf-8", errors="replace")[:PRINTED] or "(it printed nothing)"


def _row(one: Reading) -> dict[str, object]:
    attempt, score = one.attempt, one.score
    return {
        "episode": one.episode,
        "case": attempt.case.id,
        "split": attempt.case.split,
        "inputs": dict(attempt.case.inputs),
        "kind": "right" if score.failure is None else attempt.error.kind if attempt.error else score.failure,
        "reward": score.reward,
        "answer": attempt.answer,
        "source": attempt.source,
        "expected": one.expected,
        "seconds": attempt.seconds,
        "calls": [
            {
                "messages": [dict(message) for message in call.messages],
                "text": call.text,
                "tokens": len(call.completion_ids) + call.unseen,
                "finish_reason": call.finish_reason,
            }
            for call in attempt.calls
        ],
        "tools": [
            {"name": used.name, "arguments": used.arguments, "result": used.result} for used in attempt.tool_calls
        ],
        "error": attempt.error.message if attempt.error else None,
    }
