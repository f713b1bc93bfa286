"""The worker in a container: its sockets, its end, and who it is."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sia_tui.core.episodes import Case
from sia_tui.harness import container
from sia_tui.harness.container import found
from sia_tui.harness.sandbox import Mount, SandboxUnavailable
from sia_tui.harness.walls import Container, Walls
from sia_tui.harness.workers import WorkerDied, prepare
from tests.harness.test_workers import MANY_WAYS, ORPHANED, REPOSITORY, running
from tests.harness.world import RUN_CODE, World, case, gateway

ASKS = """
import os
from sia import Answer
async def solve(case, llm, tools):
    said = (await llm.chat([{"role": "user", "content": tools.strip()}])).text
    return Answer(said, notes={"uid": os.getuid()})
"""
FITS = """
import os
def prepare(rows, out): (out / "fitted").write_text(f"by {os.getuid() == 0}")
def load(rows, out): return (out / "fitted").read_text()
"""


@pytest.fixture(scope="module")
def means() -> container.Means:
    here, finding = found(Container())
    if here is None:
        pytest.skip(str(finding))
    return here


def left(means: container.Means) -> list[str]:
    """Containers of this process' slots that are still there, running or not."""
    argv = [means.program, "ps", "--all", "--format", "{{.Names}}"]
    told = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
    return [name for name in told.stdout.split() if name.startswith(f"sia-slot-{os.getpid()}-")]


@pytest.mark.asyncio
async def test_it_prepares_and_asks_over_its_lanes_as_nobody_of_this_machine(
    means: container.Means, tmp_path: Path
) -> None:
    world = World("container", tmp_path).write(ASKS, FITS)
    await prepare(world.setup(), 20)
    assert (world.folder / "tools" / "fitted").stat().st_uid == os.getuid()
    async with gateway() as served, world.worker(served.lanes(2)) as worker:
        both = await asyncio.gather(*(worker.solve(lane, Case(f"c{lane}", "dev", {}), 10) for lane in range(2)))
        assert not any(outcome.error for outcome in both), both
        assert [outcome.answer for outcome in both] == ["by False/0", "by False/0"]
        assert both[0].notes["uid"] not in (0, *([] if os.geteuid() else [os.getuid()]))
    assert not left(means)


@pytest.mark.asyncio
async def test_it_dies_when_told_and_with_its_engine(means: container.Means, tmp_path: Path) -> None:
    world = World("container", tmp_path).write(MANY_WAYS)
    with pytest.raises(WorkerDied, match="exit status 7"):
        async with world.worker() as worker:
            await worker.solve(0, case(way="dies"), 10)
    argv = [sys.executable, "-c", ORPHANED, "container", str(tmp_path)]
    engine = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY)
    assert engine.stdout is not None and await engine.stdout.readline() == b"started\n"
    assert running(world)
    engine.kill()
    await engine.wait()
    for _ in range(200):
        if not running(world):
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"still there: {running(world)}")


@pytest.mark.asyncio
async def test_an_image_that_the_config_names(means: container.Means, tmp_path: Path) -> None:
    named = Walls(container=Container(image=means.image, runtime=means.runtime))
    world = World("container", tmp_path, walls=named).write(RUN_CODE)
    async with world.worker() as worker:
        assert (await worker.solve(0, case(code="result = 6 * 7"), 10)).answer == "42"


def test_what_is_missing_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxUnavailable, match="no podman and no docker"):
        container.require(Container(image="nothing:1"))


def test_a_comma_in_a_path_is_a_part_of_it() -> None:
    told = container._mounted(Mount(Path('/a,readonly=false,"b'), Path("/rows")))
    assert told == 'type=bind,"source=/a,readonly=false,""b",target=/rows,readonly'
