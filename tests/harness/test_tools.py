"""What a harness prepares and loads before its first case, and what is written down of its tool calls."""

from __future__ import annotations

import asyncio

import pytest

from sia_tui.core.episodes import DENIED
from sia_tui.harness.workers import HarnessBroken, WorkerDied, prepare
from sia_tui.trees import remove
from tests.harness.conftest import MakeWorld
from tests.harness.world import ECHO, case

pytestmark = pytest.mark.asyncio

TOOLS = """
import asyncio, json
def prepare(rows, out):
    labels = [json.loads(line)["label"] for line in (rows / "rows.jsonl").open()]
    (out / "labels.json").write_text(json.dumps(labels))
def load(rows, out):
    return Tools(json.loads((out / "labels.json").read_text()))
class Tools:
    size = 3
    def __init__(self, labels): self.labels = labels
    def look(self, text, k=1): return self.rank(text)[:k]
    def rank(self, text): return list(self.labels)
    async def slowly(self, text): await asyncio.sleep(0.02); return text * 3000
    def fails(self): raise KeyError("gone")
    def _private(self): return 1
"""

USES_TOOLS = """
import asyncio
from sia import Answer
async def solve(case, llm, tools):
    name = case.inputs["text"]
    found = tools.look(name, k=tools.size)
    await asyncio.gather(tools.slowly(name), asyncio.to_thread(tools.rank, name))
    tools._private()
    try: tools.fails()
    except KeyError: pass
    return Answer(found[0], source="tool")
"""


async def test_tools_are_prepared_loaded_and_recorded(world: MakeWorld) -> None:
    here = world(USES_TOOLS, TOOLS)
    await prepare(here.setup(), 10)
    async with here.worker(2) as worker:
        texts = ("one", "two")
        outcomes = await asyncio.gather(*(worker.solve(i, case(text=t), 5) for i, t in enumerate(texts)))
    for text, outcome in zip(texts, outcomes, strict=True):
        assert outcome.error is None and (outcome.answer, outcome.source) == ("b", "tool")
        calls = {call.name: call for call in outcome.tool_calls}
        assert calls.keys() == {"look", "rank", "slowly", "fails"}
        assert (calls["look"].arguments, calls["look"].result) == (f"'{text}', k=3", "['b']")
        assert calls["slowly"].seconds >= 0.02 and len(calls["slowly"].result) == 2000
        assert calls["fails"].result == "raised KeyError: 'gone'"


async def test_too_many_tool_calls_are_counted(world: MakeWorld) -> None:
    here = world(
        """
        from sia import Answer
        async def solve(case, llm, tools):
            for _ in range(250): tools.rank("x" * 5000)
            return Answer("ok")
        """,
        TOOLS,
    )
    await prepare(here.setup(), 10)
    async with here.worker() as worker:
        calls = (await worker.solve(0, case(), 5)).tool_calls
    assert len(calls) == 201 and calls[-1].result == "50 further calls are not recorded"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise RuntimeError('no rows')", "RuntimeError: no rows"),
        ("import time; time.sleep(30)", "not ready within"),
        ("(out / 'link').symlink_to('/etc/passwd')", "no plain file|PermissionError"),
        ("(out / 'big').write_bytes(bytes(3 << 20))", "at most|File too large|more than 2 MiB of files"),
        ("import os; os.chdir(out); [os.chdir(os.mkdir('d') or 'd') for _ in range(70)]", "nested more than 64 deep"),
        ("open(rows / 'rows.jsonl', 'a')", "Read-only|Permission denied"),
    ],
)
async def test_prepare_is_held_to_its_folder(world: MakeWorld, body: str, reason: str) -> None:
    here = world(ECHO, f"def prepare(rows, out):\n    {body}\n")
    # Whoever looks from outside may find too much of something before the process itself comes to its limit.
    with pytest.raises((HarnessBroken, WorkerDied), match=reason):
        await prepare(here.setup(tools_mb=2, scratch_mb=2), 1.0 if "sleep" in body else 20.0)


async def test_prepare_is_ended_while_it_goes_too_deep(world: MakeWorld) -> None:
    deep = "import os, time; os.chdir(out); [os.chdir(os.mkdir('d') or 'd') for _ in range(1500)]; time.sleep(60)"
    here = world(ECHO, f"def prepare(rows, out):\n    {deep}\n")
    try:
        with pytest.raises(WorkerDied, match="killed for folders nested more than 64 deep"):
            await prepare(here.setup(tools_mb=2, scratch_mb=2), 60.0)
    finally:
        # Or pytest itself meets it, once it deletes old folders.
        remove(here.folder / "tools")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def solve(", "SyntaxError"),
        ("import not_there", "ModuleNotFoundError"),
        ("def solve(case, llm, tools): pass", "async function"),
        ("x = 1", "AttributeError"),
        ("import sys; sys.exit(1)", "SystemExit"),
        ("while True: pass", "not ready within"),
    ],
)
async def test_a_harness_that_cannot_begin(world: MakeWorld, code: str, reason: str) -> None:
    with pytest.raises(HarnessBroken, match=reason):
        async with world(code).worker(ready_s=0.7 if "while" in code else 20.0):
            pass


async def test_one_that_exits_while_imported(world: MakeWorld) -> None:
    with pytest.raises(WorkerDied, match="exit status 5"):
        async with world("import os; os._exit(5)").worker():
            pass


async def test_tries_to_reach_the_network_stand_in_the_trajectory(world: MakeWorld) -> None:
    here = world(
        """
        import socket
        from sia import Answer
        async def solve(case, llm, tools):
            said = []
            for reach in (lambda: socket.create_connection(("1.2.3.4", 80), 1), lambda: socket.socket(socket.AF_INET6)):
                try: reach()
                except OSError as error: said.append(type(error).__name__)
            return Answer(",".join(said))
        """
    )
    async with here.worker(1) as worker:
        outcome = await worker.solve(0, case(), 10)
        quiet = await worker.solve(0, case(), 10)
    assert outcome.answer is not None and outcome.answer.count("Error") == 2
    tried = [call.arguments for call in outcome.tool_calls if call.name == DENIED]
    assert any("1.2.3.4" in said for said in tried) and any(said.startswith("__new__") for said in tried)
    assert len(quiet.tool_calls) == len(tried)


async def test_an_honest_harness_tries_nothing(world: MakeWorld) -> None:
    async with world(ECHO).worker(1) as worker:
        assert (await worker.solve(0, case(say="x"), 5)).tool_calls == ()
