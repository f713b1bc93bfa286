"""A small evaluation, the same by whoever carries it out: made-up cases, a little policy, a harness that waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sia_tui.cluster.executor import Executor
from sia_tui.config import HarnessConfig
from sia_tui.core.episodes import Attempt, Score
from sia_tui.engine.crew import Crew, Harness, Place
from sia_tui.engine.lots import Trial
from sia_tui.engine.rollout import Rollout, Terms
from sia_tui.harness.environment import base_interpreter
from sia_tui.harness.sandbox import choose, probe
from sia_tui.harness.walls import Walls
from sia_tui.policy.client import Gateway
from sia_tui.tasks import lawbench
from sia_tui.tasks.verifier import VerifierProcess
from tests.lawbench_shaped import write_lawbench_shaped
from tests.policy.tiny import make_model

ASKS = """
import asyncio
from sia import Answer

async def solve(case, llm, tools):
    await asyncio.sleep(WAIT)
    text = case.inputs["text"]
    said = await llm.chat([{"role": "user", "content": text[:12]}], max_tokens=8, temperature=1.0)
    return Answer(tools.nearest(text), notes={"said": said.text})
"""
LOOKS = """
import json

class Tools:
    def __init__(self, rows):
        with open(rows / "rows.jsonl", encoding="utf-8") as lines:
            self.rows = [(pairs(row["inputs"]["text"]), row["label"]) for row in map(json.loads, lines)]

    def nearest(self, text):
        return max(self.rows, key=lambda row: len(row[0] & pairs(text)))[1]

def pairs(text):
    return {text[i : i + 2] for i in range(len(text) - 1)}

def load(rows, out):
    return Tools(rows)
"""


Done = Callable[[Trial, Attempt, Score], None]


@asynccontextmanager
async def place(root: Path, lanes: int, wait_s: float = 0.0, per_charge: int = 20) -> AsyncIterator[Place]:
    """Before a gateway of its own and a true verifier. `wait_s`: what the harness does besides asking."""
    write_lawbench_shaped(root / "data", charges=6, per_charge=per_charge)
    task = lawbench.load(root / "data", seed=0, folds=3, dev=0.2, hidden=0.1, limit=None)
    for name in ("rows", "tools", "harness", "run"):
        (root / name).mkdir()
    (root / "harness" / "harness.py").write_text(ASKS.replace("WAIT", str(wait_s)))
    (root / "harness" / "tools.py").write_text(LOOKS)
    gold = {case: task.gold[case] for case in task.ids("dev")}
    async with (
        await Gateway.start(make_model(root / "model"), root / "run", lanes=lanes) as gateway,
        VerifierProcess(root / "verifier", gold, task.labels, task.judge) as verifier,
    ):
        yield Place(
            task=task,
            gateway=gateway,
            verifier=verifier,
            python=base_interpreter(),
            level=choose("auto", probe()),
            walls=Walls(),
            config=HarnessConfig(),
            rows_root=root / "rows",
            tools_root=root / "tools",
            log=root / "harness.log",
            seed=0,
        )


async def evaluate(where: Place, by: Executor | None, done: Done, cases: Sequence[str] | None = None) -> None:
    """Dev, or some of its cases, by that executor or as the place says."""
    place = replace(where, executor=by) if by is not None else where
    harness = Harness(where.log.parent / "harness", {"harness.py": ASKS, "tools.py": LOOKS}, "key")
    async with Crew(place, harness, views=1) as crew:
        trials = [Trial(place.task.cases[case]) for case in cases or place.task.ids("dev")]
        await Rollout(place, harness, crew, lambda: False).run(trials, Terms(None), done)


async def evaluated(
    where: Place, by: Executor | None = None, each: Callable[[int], None] = lambda done: None
) -> dict[str, tuple[Any, ...]]:
    """What became of each dev case; `each` is called after every one of them, with how many there are by then."""
    made: dict[str, tuple[Any, ...]] = {}

    def done(trial: Trial, attempt: Attempt, score: Score) -> None:
        assert trial.case.id not in made, "an episode counts once"
        calls = [(call.prompt_ids, call.completion_ids, call.text) for call in attempt.calls]
        made[trial.case.id] = (attempt.answer, attempt.notes, calls, attempt.error, attempt.isolation, score)
        each(len(made))

    await evaluate(where, by, done)
    return made
