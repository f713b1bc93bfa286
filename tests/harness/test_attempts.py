"""What a harness may ask of the task's compiler, and what becomes of one that asks for more."""

from __future__ import annotations

import asyncio

import pytest

from sia_tui.core.episodes import COMPILER
from sia_tui.harness.attempts import LONGEST, Attempts
from sia_tui.harness.workers import WorkerDied
from tests.harness.conftest import MakeWorld
from tests.harness.world import case

pytestmark = pytest.mark.asyncio

ASKS = """
import asyncio, json, os
from sia import Answer, AttemptError

async def solve(case, llm, tools):
    said = []
    for _ in range(int(case.inputs["times"])):
        try:
            said.append(await case.attempt("int x\\x1b[31m;"))
        except AttemptError as error:
            said.append(f"refused: {error}")
    return Answer(json.dumps(said))
"""

TAKES_MORE = """
import gc, json
from sia import Answer

async def solve(case, llm, tools):
    if case.inputs["after"] == "one":
        await case.attempt("int x;")
    writer = next(one for one in gc.get_objects() if type(one).__name__ == "StreamWriter")
    writer.write(json.dumps({"attempt": {"id": 1, "answer": "int y;"}}).encode() + b"\\n")
    await __import__("asyncio").sleep(30)
"""


async def says(answer: str) -> str:
    await asyncio.sleep(0)
    return "kernel.c:1: error\x1b[31m" + "x" * 5000


async def test_so_many_attempts_are_answered_and_written_down(world: MakeWorld) -> None:
    async with world(ASKS).worker() as worker:
        attempts = Attempts(says, 2)
        outcome = await worker.solve(0, case(times="3"), 10.0, attempts)
        assert outcome.answer is not None
        assert outcome.answer.count("kernel.c:1: error") == 2 and "no attempt left" in outcome.answer
        assert "\\u001b" not in outcome.answer and len(outcome.answer) < 2 * LONGEST + 200
        assert [(call.name, len(call.result)) for call in attempts.calls] == [(COMPILER, LONGEST)] * 2
        assert "\x1b" not in attempts.calls[0].arguments
        unoffered = await worker.solve(0, case(times="1"), 10.0)
        assert unoffered.answer == '["refused: this task has no compiler to ask"]'


@pytest.mark.parametrize("after", ["none", "one"])
async def test_who_takes_more_than_was_offered_is_ended(world: MakeWorld, after: str) -> None:
    async with world(TAKES_MORE).worker() as worker:
        attempts = Attempts(says, 1) if after == "one" else None
        with pytest.raises(WorkerDied, match="an attempt that was not offered"):
            await worker.solve(0, case(after=after), 10.0, attempts)
        assert len(attempts.calls if attempts else ()) == (1 if after == "one" else 0)
