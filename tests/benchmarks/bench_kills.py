"""SIGKILL at many points of a run with both levers: engine, trainer, gateway and workers in turn.

    python -m tests.benchmarks.bench_kills --points 24

Runs the tests' little task twice, undisturbed and killed, and prints what was killed when, what that cost in time, and
whether the two ended alike. Exit status 1 when they did not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.conftest import Desk, make_desk
from tests.e2e.killing import asked, kill, paths_of, require_no_orphans, start, wait_for
from tests.e2e.test_levers import fates_of, same_start

EVENTS, EPISODES = "select count(*) from events", "select count(*) from episodes"
PARTS = ("trainer", "gateway", "worker", "engine")
FIRST = 8
"""Events after which the policy is ready and episodes begin."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=24)
    points = parser.parse_args().points
    with tempfile.TemporaryDirectory(prefix="sia-kills-") as folder:
        desk = make_desk(Path(folder))
        whole, calm = undisturbed(desk)
        killed, hit = disturbed(desk, whole, points)
        same = fates_of(paths_of(desk, "killed")) == fates_of(paths_of(desk, "calm"))
        close = same and same_start(paths_of(desk, "killed"), paths_of(desk, "calm"))
        extra = asked(paths_of(desk, "killed"), EPISODES) - asked(paths_of(desk, "calm"), EPISODES)
    print("\n".join(hit))
    print(f"{len(hit)} kills; undisturbed {calm:.0f} s, killed {killed:.0f} s; episodes more than undisturbed: {extra}")
    print(f"same fates: {same}; same cloned adapter: {close}")
    return 0 if same and close and len(hit) >= points else 1


def undisturbed(desk: Desk) -> tuple[int, float]:
    """Events and seconds of the reference run."""
    began = time.monotonic()
    ended = desk.cli("run", str(desk.config), "--name", "calm", script="levers", timeout=900)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return asked(paths_of(desk, "calm"), EVENTS), time.monotonic() - began


def disturbed(desk: Desk, events: int, points: int) -> tuple[float, list[str]]:
    """Seconds of the killed run, and a line for every kill."""
    paths, log, hit = paths_of(desk, "killed"), desk.workspace.parent / "killed.log", list[str]()
    began = time.monotonic()
    engine = start(desk, "run", str(desk.config), "--name", "killed", script="levers", log=log)
    for point in range(points):
        mark = FIRST + (events - FIRST - 2) * point // points
        if not wait_for(paths, engine, EVENTS, mark):
            break
        part = strike(desk, engine, PARTS[point % len(PARTS)])
        hit.append(f"{time.monotonic() - began:6.0f} s  event {asked(paths, EVENTS):5d}  {part}")
        if part == "engine":
            engine = start(desk, "resume", "killed", script="levers", log=log)
    status = engine.wait(timeout=900)
    assert status == 0, log.read_text()[-3000:]
    return time.monotonic() - began, hit


def strike(desk: Desk, engine: subprocess.Popen[bytes], part: str) -> str:
    """Kill the part, or the engine where there is no such process at the moment; returns what was killed."""
    paths = paths_of(desk, "killed")
    if part != "engine" and kill(paths, part):
        return part
    engine.kill()
    engine.wait(timeout=30)
    require_no_orphans(paths)
    return "engine"


if __name__ == "__main__":
    sys.exit(main())
