"""Episodes in a real worker: outcomes, deadlines, deaths, and what is written down of them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from sia_tui.harness.workers import HarnessBroken, Outcome, WorkerDied, prepare
from tests.harness.conftest import MakeWorld
from tests.harness.world import ECHO, World, case

pytestmark = pytest.mark.asyncio

MANY_WAYS = """
import asyncio, os, sys, time
from sia import Answer

async def solve(case, llm, tools):
    return await globals()[case.inputs["way"]](case)

async def fine(case): return Answer("ok", notes={"n": 1, "when": object(), "nan": float("nan")})
async def tool(case): return Answer("ok", source="tool")
async def unanswered(case): return Answer(None)
async def raises(case): raise ValueError("a bad case")
async def exits(case): sys.exit(3)
async def cancels(case): raise asyncio.CancelledError
async def returns_text(case): return "ok"
async def returns_number(case): return Answer(7)
async def returns_much(case): return Answer("x" * 200_000)
async def odd_source(case): return Answer("x", source="oracle")
async def surrogate(case): return Answer("a\\ud800b")
async def sleeps(case): await asyncio.sleep(60)
async def stubborn(case):
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass
async def spins(case):
    while True: pass
async def dies(case): os._exit(7)
async def crashes(case):
    import ctypes; ctypes.string_at(0)
async def eats(case): return Answer(str(len(bytearray(2 << 30))))
async def talks(case):
    for _ in range(300): print("x" * 10_000)
    return Answer("ok")
async def fills(case):
    with open(os.environ["HOME"] + "/big", "wb") as file:
        for _ in range(100): file.write(bytes(1 << 20))
    return Answer("filled")
"""


async def solved(world: World, way: str, deadline_s: float = 5.0, **limits: Any) -> Outcome:
    async with world.worker(**limits) as worker:
        return await worker.solve(0, case(way=way), deadline_s)


async def test_answers_and_errors(world: MakeWorld) -> None:
    async with world(MANY_WAYS).worker() as worker:

        async def outcome(way: str, deadline_s: float = 5.0) -> Outcome:
            return await worker.solve(0, case(way=way), deadline_s)

        fine = await outcome("fine")
        assert (fine.answer, fine.source, fine.error) == ("ok", "policy", None)
        assert fine.notes.keys() == {"n", "when", "nan"}
        assert 0 <= fine.seconds < 5
        assert (await outcome("tool")).source == "tool"
        assert (await outcome("unanswered")).error is None
        assert (await outcome("surrogate")).answer == "a?b"
        error = (await outcome("raises")).error
        assert error is not None
        assert (error.kind, error.message) == ("exception", "ValueError: a bad case")
        assert "in raises" in error.traceback
        for way in ("exits", "cancels"):
            error = (await outcome(way)).error
            assert error is not None and error.kind == "exception"
        for way in ("returns_text", "returns_number", "returns_much", "odd_source"):
            error = (await outcome(way)).error
            assert error is not None and error.kind == "bad_answer"
        for way in ("sleeps", "stubborn"):
            error = (await outcome(way, 0.1)).error
            assert error is not None and error.kind == "timeout"
        assert (await outcome("fine")).answer == "ok"


async def test_memory_limit(world: MakeWorld) -> None:
    outcome = await solved(world(MANY_WAYS), "eats", memory_mb=1024)
    assert outcome.error is not None and outcome.error.message.startswith("MemoryError")


async def test_scratch_limit(world: MakeWorld) -> None:
    outcome = await solved(world(MANY_WAYS), "fills", scratch_mb=8)
    assert outcome.error is not None and outcome.error.message.startswith("OSError")


async def test_a_blocked_worker_is_killed_with_all_it_was_solving(world: MakeWorld) -> None:
    here = world(MANY_WAYS)
    async with here.worker(3, grace_s=0.3) as worker:
        sleeping = asyncio.create_task(worker.solve(0, case("sleeper", way="sleeps"), 30))
        other = asyncio.create_task(worker.solve(1, case("other", way="sleeps"), 30))
        await asyncio.sleep(0.1)
        started = time.monotonic()
        with pytest.raises(WorkerDied, match="case spinner did not end") as death:
            await worker.solve(2, case("spinner", way="spins"), 0.3)
        assert time.monotonic() - started < 2
        assert set(death.value.in_flight) == {"sleeper", "other", "spinner"}
        for task in (sleeping, other):
            with pytest.raises(WorkerDied):
                await task
        assert not worker.alive
        with pytest.raises(WorkerDied) as later:
            await worker.solve(0, case(way="fine"), 1)
        assert later.value.in_flight == ()


@pytest.mark.parametrize(("way", "reason"), [("dies", "exit status 7"), ("crashes", "SIGSEGV")])
async def test_a_death_says_how(world: MakeWorld, way: str, reason: str) -> None:
    with pytest.raises(WorkerDied, match=reason) as death:
        await solved(world(MANY_WAYS), way)
    assert death.value.in_flight == ("case",)


async def test_the_cpu_limit_ends_a_worker(world: MakeWorld) -> None:
    with pytest.raises(WorkerDied, match=r"CPU time|SIGKILL"):
        await solved(world(MANY_WAYS), "spins", deadline_s=20, cpu_s=1)


async def test_no_process_outlives_its_worker(world: MakeWorld) -> None:
    here = world(MANY_WAYS)
    async with here.worker() as worker:
        spinning = asyncio.create_task(worker.solve(0, case(way="spins"), 30))
        await asyncio.sleep(0.2)
        assert running(here)
    with pytest.raises(WorkerDied):
        await spinning
    for _ in range(100):
        if not running(here):
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"still there: {running(here)}")


def running(world: World) -> list[str]:
    """Processes with this test's folder on their command line, that is bubblewrap or the worker."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if str(world.folder / "harness").encode() in line or (b"/sia/worker.py" in line and b"bwrap" in line):
            found.append(entry.parent.name)
    return found


async def test_cancelling_frees_the_lane(world: MakeWorld) -> None:
    async with world(MANY_WAYS).worker() as worker:
        first = asyncio.create_task(worker.solve(0, case(way="sleeps"), 30))
        await asyncio.sleep(0.1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await worker.solve(0, case(way="fine"), 5)).answer == "ok"


async def test_output_goes_to_the_log_up_to_its_size(world: MakeWorld) -> None:
    here = world(MANY_WAYS)
    outcome = await solved(here, "talks", log_kb=64)
    assert outcome.answer == "ok"
    text = here.log.read_text()
    assert 64 * 1024 <= len(text) < 65 * 1024 and text.endswith("[the rest is not kept]\n")


GARBAGE = """
import json, os, sys, time
control = json.loads(sys.argv[1])["control"]
async def solve(case, llm, tools):
    os.set_blocking(control, True)
    line = case.inputs["bytes"].encode("latin-1") * int(case.inputs["times"]) + b"\\n"
    while line:
        line = line[os.write(control, line):]
    time.sleep(10)
"""


@pytest.mark.parametrize(
    ("said", "times"),
    [
        ("hello", 1),
        ("\xff\x00", 1),
        ('{"ready": {"seconds": 1}}', 1),
        ('{"done": {"id": 99, "answer": "right", "source": "policy"}}', 1),
        ("[" * 5000, 1),
        ("x" * 65536, 200),
    ],
)
async def test_garbage_on_the_control_socket(world: MakeWorld, said: str, times: int) -> None:
    async with world(GARBAGE).worker() as worker:
        with pytest.raises(WorkerDied, match=r"garbage|endless line"):
            await worker.solve(0, case(bytes=said, times=str(times)), 5)


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
        ("(out / 'big').write_bytes(bytes(3 << 20))", "at most|File too large"),
        ("open(rows / 'rows.jsonl', 'a')", "Read-only|Permission denied"),
    ],
)
async def test_prepare_is_held_to_its_folder(world: MakeWorld, body: str, reason: str) -> None:
    here = world(ECHO, f"def prepare(rows, out):\n    {body}\n")
    with pytest.raises(HarnessBroken, match=reason):
        await prepare(here.setup(tools_mb=2, scratch_mb=2), 1.0)


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
        async with world(code).worker(ready_s=0.7):
            pass


async def test_one_that_exits_while_imported(world: MakeWorld) -> None:
    with pytest.raises(WorkerDied, match="exit status 5"):
        async with world("import os; os._exit(5)").worker():
            pass
