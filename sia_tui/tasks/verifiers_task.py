"""From an environment of the `verifiers` package to a folder that runs."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sia_tui.tasks import own
from sia_tui.tasks import verifiers_reward as reward
from sia_tui.tasks.scaffold import Ordered, new
from sia_tui.tasks.task import TaskError

READ_S = 600.0
MOST = 5000
"""Rows taken of a larger environment."""
PAID = 0.9
"""What an environment's own answers earn at least, to be right answers as they stand."""
DESCRIPTION = (
    "{name}, a single-turn environment of the verifiers package. A case is its prompt; an answer is one completion, which its "
    "rubric judges. The score is the mean of the rubric's reward over its positive weights."
)


@dataclass(frozen=True)
class Brought:
    cases: int
    own_answers: float
    """What the environment's answers earn just as they stand; where that is little, the cases have no gold."""


def bring(
    name: str, environment: str, arguments: dict[str, Any], python: str, needs: Path | None, to: Path, seeds: Path
) -> Brought:
    """Write the task. `python` has the package and the environment. Raises TaskError."""
    told = read(environment, arguments, python)
    answerable = told["own_answers"] >= PAID
    kept = {_line(row, answerable): row for row in told["rows"]}
    asked: dict[str, Any] = {"function": f"{reward.__file__}:judge", "deadline_s": 60, "files": [reward.SPEC]}
    if needs is not None:
        asked["requirements"] = str(needs)
    with tempfile.TemporaryDirectory(prefix="import-") as scratch:
        cases = Path(scratch) / "cases.jsonl"
        cases.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        ids = [line.id for line in own.read_cases(cases)]
        spec = {"environment": environment, "arguments": arguments, "rows": dict(zip(ids, kept.values(), strict=True))}
        beside = {reward.SPEC: json.dumps(spec, ensure_ascii=False, indent=1).encode()}
        new(Ordered(name, cases, asked, DESCRIPTION.format(name=environment), beside=beside), to, seeds)
    return Brought(len(kept), told["own_answers"])


def _line(row: dict[str, Any], answerable: bool) -> str:
    gold = {"gold": row["answer"]} if answerable else {}
    return json.dumps({"inputs": _inputs(row["prompt"]), **gold}, ensure_ascii=False)


def read(environment: str, arguments: dict[str, Any], python: str) -> dict[str, Any]:
    """Its rows and what its own answers earn, by a process of that Python. Raises TaskError."""
    command = [python, "-P", str(reward.__file__), environment, json.dumps(arguments), str(MOST)]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=READ_S)
    except subprocess.TimeoutExpired:
        raise TaskError(f"{environment} gave no rows within {READ_S:.0f} s") from None
    if ran.returncode != 0:
        last = (ran.stderr.strip() or "no word of why").splitlines()[-1]
        raise TaskError(f"{environment} cannot be read: {last[:300]}")
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    if "unsuited" in told:
        raise TaskError(told["unsuited"])
    if not told["rows"]:
        raise TaskError(f"{environment} has no rows to learn from")
    return told


def _inputs(prompt: list[dict[str, Any]]) -> dict[str, str]:
    """What the system says, and the rest as one text. TaskError for what is no text."""
    if any(not isinstance(said["content"], str) for said in prompt):
        raise TaskError("its prompts hold more than text: pictures and the like are not understood")
    system = "\n".join(said["content"] for said in prompt if said["role"] == "system")
    asked = [said for said in prompt if said["role"] != "system"]
    alone = len(asked) == 1
    text = "\n\n".join(said["content"] if alone else f"{said['role']}: {said['content']}" for said in asked)
    return ({"system": system} if system else {}) | {"input": text}
