"""Episodes in a real worker: outcomes, deadlines, deaths, and what is written down of them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sia_tui.harness import cgroups, excess, launch
from sia_tui.harness.slot import SCRATCH
from sia_tui.harness.workers import Outcome, WorkerDied
from tests.harness.conftest import MakeWorld
from tests.harness.world import LEVELS, World, case

pytestmark = pytest.mark.asyncio

REPOSITORY = Path(__file__).resolve().parents[2]

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
async def calls_otherwise(case):
    import ctypes; ctypes.CDLL(None).syscall(0x40000000 + 41, 2, 1, 0)
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
        assert time.monotonic() - started < 5
        assert set(death.value.in_flight) == {"sleeper", "other", "spinner"}
        for task in (sleeping, other):
            with pytest.raises(WorkerDied):
                await task
        assert not worker.alive
        with pytest.raises(WorkerDied) as later:
            await worker.solve(0, case(way="fine"), 1)
        assert later.value.in_flight == ()


@pytest.mark.parametrize(
    ("way", "reason"), [("dies", "exit status 7"), ("crashes", "SIGSEGV"), ("calls_otherwise", "SIGSYS")]
)
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
    await require_nobody(here)


def running(world: World) -> list[str]:
    """Processes with this harness on their command line or mounted: bubblewrap, and the worker in it or without it."""
    mark = f"{world.folder.name}/harness".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "cmdline").read_bytes() or mark in (entry / "mountinfo").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


ORPHANED = """
import asyncio, sys
from pathlib import Path
from tests.harness.test_workers import MANY_WAYS
from tests.harness.world import LEVELS, World, case
async def main():
    world = World(sys.argv[1], Path(sys.argv[2])).write(MANY_WAYS)
    async with world.worker() as worker:
        print("started", flush=True)
        await worker.solve(0, case(way="spins"), 60)
asyncio.run(main())
"""


async def test_a_worker_dies_with_its_engine(world: MakeWorld) -> None:
    here = world(MANY_WAYS)
    argv = [sys.executable, "-c", ORPHANED, here.level, str(here.folder)]
    engine = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY)
    assert engine.stdout is not None
    assert await engine.stdout.readline() == b"started\n"
    await asyncio.sleep(0.2)
    assert running(here)
    engine.kill()
    await engine.wait()
    await asyncio.sleep(0.2)
    assert not running(here)


NEVER_READY = "import time\ntime.sleep(600)"


@pytest.mark.parametrize("times", [1, 2])
async def test_a_start_may_be_cancelled_at_any_moment_and_leaves_nobody(times: int, world: MakeWorld) -> None:
    here = world(NEVER_READY)

    async def start() -> None:
        async with here.worker():
            pass

    async def cancelled(after_s: float) -> None:
        starting = asyncio.create_task(start())
        await asyncio.sleep(after_s)
        for _ in range(times):
            starting.cancel()
            await asyncio.sleep(0)
        ended, _ = await asyncio.wait({starting}, timeout=10)
        assert ended, f"hangs when cancelled after {1000 * after_s} ms"
        for lane in here.far_ends:
            lane.close()

    await cancelled(0.2)
    await require_nobody(here)
    before = open_files()
    for moment in range(40):
        await cancelled(0.0005 * moment)
    await require_nobody(here)
    await require(lambda: not slots(here) and open_files() <= before, lambda: f"{slots(here)}, {open_files() - before}")


@pytest.mark.skipif("bwrap" not in LEVELS, reason="of the other levels a worker is one process")
async def test_an_engine_that_is_killed_while_the_walls_go_up_leaves_nobody(tmp_path: Path) -> None:
    """Its death is the outer bubblewrap's; the inner one may not have asked yet to die with that."""
    here = World("bwrap", tmp_path).write(NEVER_READY)
    for moment in range(20):
        child = await launch.spawn(here.setup(), "serve")
        await asyncio.sleep(0.001 * moment)
        os.kill(child.process.pid, signal.SIGKILL)
        child.writer.close()
    await require_nobody(here)


async def test_before_its_walls_are_up_a_worker_is_not_charged_with_the_machines_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As bubblewrap, slow to start on a busy machine, still sees it all."""
    monkeypatch.setattr(excess, "NAMES", 0)
    assert excess.excess(os.getpid(), excess.Allowed(inside=(tmp_path,))) == ""


async def require_nobody(world: World) -> None:
    await require(lambda: not running(world), lambda: f"still there: {running(world)}")


async def require(held: Callable[[], bool], told: Callable[[], str]) -> None:
    end = time.monotonic() + 20
    while not held():
        assert time.monotonic() < end, told()
        await asyncio.sleep(0.02)


def slots(world: World) -> list[Path]:
    """What slots of this process have of their own: scratch folders and control groups."""
    where = cgroups.hierarchy()
    groups = [path for folder in where.folders for path in folder.glob(f"sia-tui-{os.getpid()}-*")] if where else []
    return [*world.log.parent.glob(f"{SCRATCH}*"), *groups]


def open_files() -> Counter[str]:
    """By what they are, not by number."""
    found = Counter[str]()
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found[re.sub(r"\[\d+\]", "", str(file.readlink()))] += 1
    return found


async def test_cancelling_frees_the_lane(world: MakeWorld) -> None:
    async with world(MANY_WAYS).worker() as worker:
        first = asyncio.create_task(worker.solve(0, case(way="sleeps"), 30))
        await asyncio.sleep(0.1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not worker.free(0), "it may still ask"
        assert (await worker.solve(0, case(way="fine"), 5)).answer == "ok"
        assert worker.free(0)


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


DONE = (
    '{"done": {"id": 1, "answer": "right", "source": "policy", "notes": NOTES, "tool_calls": [], '
    '"tool_calls_dropped": 0, "error": null}}'
)


@pytest.mark.parametrize(
    ("said", "times"),
    [
        ("hello", 1),
        ("\xff\x00", 1),
        ('{"ready": {"seconds": 1}}', 1),
        (DONE.replace("NOTES", '{"n": NaN}'), 1),
        (DONE.replace("NOTES", '{"n": 1' + "0" * 5000 + "}"), 1),
        (DONE.replace("NOTES", '{"n": "\\ud800"}'), 1),
        (DONE.replace("NOTES", "{}").replace('"error"', '"seconds": 0, "error"'), 1),
        ('{"done": {"id": 99, "answer": "right", "source": "policy"}}', 1),
        ("[" * 5000, 1),
        ("x" * 65536, 200),
    ],
)
async def test_garbage_on_the_control_socket(world: MakeWorld, said: str, times: int) -> None:
    async with world(GARBAGE).worker() as worker:
        with pytest.raises(WorkerDied, match=r"garbage|endless line"):
            await worker.solve(0, case(bytes=said, times=str(times)), 5)
