"""What the walls add to the start of a worker: one Python that imports what a worker imports, and a worker at each level,
by turns, so that whatever else the machine does falls on all of them alike.

`python -m tests.benchmarks.bench_slots [ROUNDS]`
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sia_tui.harness.interpreter import inspect
from sia_tui.harness.launch import INSIDE, PYTHON_FLAGS
from tests.harness.world import ECHO, World, levels

IMPORTS = "import sys; sys.path.insert(0, sys.argv[1]); import asyncio, confine, recording, sia"


async def plain(world: World) -> float:
    """Seconds until a Python without walls has imported the same."""
    argv = [str(inspect(world.python).executable), *PYTHON_FLAGS, "-c", IMPORTS, str(INSIDE)]
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*argv, env={})
    await process.wait()
    return time.perf_counter() - began


async def confined(world: World) -> float:
    """Seconds until a worker says that it is ready."""
    began = time.perf_counter()
    async with world.worker():
        return time.perf_counter() - began


async def measured(rounds: int, folder: Path) -> dict[str, list[float]]:
    worlds = {level: World(level, folder / level).write(ECHO) for level in ("none", *levels())}  # type: ignore[arg-type]
    found: dict[str, list[float]] = {"plain Python": [], **{level: [] for level in worlds}}
    for index in range(rounds + 1):
        took = {"plain Python": await plain(worlds["none"])}
        took |= {level: await confined(world) for level, world in worlds.items()}
        if index:
            for name, seconds in took.items():
                found[name].append(seconds)
    return found


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with tempfile.TemporaryDirectory(prefix="sia-slots-") as folder:
        found = asyncio.run(measured(rounds, Path(folder)))
    base = statistics.median(found["plain Python"])
    print(f"| start, median of {rounds} (load {os.getloadavg()[0]:.1f}) | ms | over plain Python, ms | ratio |")
    print("|---|---|---|---|")
    for name, times in found.items():
        middle = statistics.median(times)
        print(f"| {name} | {1000 * middle:.0f} | {1000 * (middle - base):+.0f} | {middle / base:.2f} |")


if __name__ == "__main__":
    main()
