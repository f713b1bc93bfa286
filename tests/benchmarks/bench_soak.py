"""A long run of a tiny task: what engine, gateway and verifier hold after so many steps, and what the store takes.

    python -m tests.benchmarks.bench_soak --folder DIR --steps 200

Real engine, git, sandbox, gateway and store; the agent's script proposes remarks, each of which is a tree, a preview and dev
anew: 50 episodes a step. After each step memory, descriptors, threads, processes and bytes are read from outside, into
DIR/soak.jsonl. Broken off and said again, it goes on; memory is compared within the life of one engine, after its first
quarter. Exit status 1 where memory grew by more than 5 %, descriptors or processes grew, or bytes an episode did.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from sia_tui.store.workspace import RunPaths
from tests.e2e.conftest import Desk, make_desk
from tests.e2e.killing import asked, belonging, command, paths_of, start

NAME = "soak"
PARTS = {"gateway": "sia_tui.policy.gateway", "verifier": "verifier/verify.py"}
STEPS, EPISODES = (f"select count(*) from events where kind = '{kind}'" for kind in ("ProposalMade", "EpisodeDone"))
BYTES = "select page_count * page_size from pragma_page_count, pragma_page_size"
STILL_S = 600.0
"""Without a step for longer than this it hangs."""
GROWTH = 0.05
PAGE = os.sysconf("SC_PAGE_SIZE")

Sample = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="kept, to go on from; else a temporary one")
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sia-soak-") as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        desk = tiny_desk(folder)
        soak(desk, options.steps, folder)
        samples = [json.loads(line) for line in (folder / "soak.jsonl").read_text().splitlines()]
    faults = judged(samples)
    print("\n".join(faults) or "memory, descriptors, processes and bytes an episode held still")
    return 1 if faults else 0


def tiny_desk(root: Path) -> Desk:
    if (root / "tiny.yaml").exists():
        return Desk(root / "workspace", root / "tiny.yaml")
    desk = make_desk(root, charges=6, per_charge=50, test_per_charge=1)
    config = yaml.safe_load(desk.config.read_text()) | {
        "evaluate": {"train": 14, "dev": 36, "preview": 14, "hidden": 8, "test": 4, "trace": 0},
        "budget": {"steps": 1000},
    }
    desk.config.write_text(yaml.safe_dump(config))
    return desk


def soak(desk: Desk, steps: int, folder: Path) -> None:
    """Until so many steps are made; then the engine is ended in good order, and goes on when more are wanted."""
    paths, log = paths_of(desk, NAME), folder / "soak.log"
    if asked(paths, STEPS) > steps:
        return
    words = ("resume", NAME) if paths.db.exists() else ("run", str(desk.config), "--name", NAME)
    engine = start(desk, *words, script="soak", log=log)
    try:
        with (folder / "soak.jsonl").open("a", encoding="utf-8") as out:
            for sample in sampled(paths, engine, steps):
                out.write(json.dumps(sample) + "\n")
                out.flush()
    finally:
        engine.terminate()
        engine.wait(timeout=90)


def sampled(paths: RunPaths, engine: subprocess.Popen[bytes], steps: int) -> Iterator[Sample]:
    """One at each proposal, when the step before it is over and the next has not begun."""
    seen, since = asked(paths, STEPS), time.monotonic()
    while seen <= steps:
        assert engine.poll() is None, f"the engine ended with {engine.returncode}; see soak.log"
        assert time.monotonic() - since < STILL_S, "no step was made for long"
        if (now := asked(paths, STEPS)) > seen:
            seen, since = now, time.monotonic()
            yield sample(paths, engine.pid)
        time.sleep(0.02)


def sample(paths: RunPaths, engine: int) -> Sample:
    """Of a moment; memory is resident bytes, and of a part that does not run nothing is said."""
    family = {int(entry.name): command(entry) for entry in belonging(paths)} | {engine: ""}
    found: Sample = {"at": time.time(), "engine": engine}
    found |= {"steps": asked(paths, STEPS), "episodes": asked(paths, EPISODES), "store": asked(paths, BYTES)}
    found["processes"] = sum("bwrap" not in said for said in family.values())
    for name, word in PARTS.items():
        for pid in (pid for pid, said in family.items() if word in said):
            found |= held(name, pid)
    return found | held("engine", engine)


def held(name: str, pid: int) -> Sample:
    proc = Path(f"/proc/{pid}")
    try:
        return {
            f"{name}_bytes": PAGE * int((proc / "statm").read_text().split()[1]),
            f"{name}_files": len(list((proc / "fd").iterdir())),
            f"{name}_threads": len(list((proc / "task").iterdir())),
        }
    except OSError:
        return {}


def judged(samples: Sequence[Sample]) -> list[str]:
    """Prints what was found, and returns what should not be. Of lives too short for a quarter nothing is said."""
    lives = [list(life) for _, life in groupby(samples, key=lambda sample: sample["engine"])]
    life = max(lives, key=len)
    last, faults = samples[-1], list[str]()
    print(
        f"{last['steps']} steps, {last['episodes']} episodes, {len(lives)} engines; looked at: {len(life)} steps of one"
    )
    warm = life[len(life) // 4 :]
    span = max(1, len(warm) // 4)
    for what in sorted({name for sample in life for name in sample} - {"at", "engine", "steps", "episodes", "store"}):
        values = [sample[what] for sample in warm if what in sample]
        if len(values) < 2 * span:
            continue
        early, late = values[:span], values[-span:]
        first, end = median(early), median(late)
        memory = what.endswith("_bytes")
        unit = 1e6 if memory else 1
        print(f"  {what}: {first / unit:,.1f} -> {end / unit:,.1f}, {end / first - 1:+.1%}")
        # Counts go up and down with what is under way.
        if (memory and end > first * (1 + GROWTH)) or (not memory and min(late) > max(early)):
            faults.append(f"{what} grew: {first / unit:,.1f} -> {end / unit:,.1f}")
    return faults + _linear(warm)


def _linear(warm: Sequence[Sample]) -> list[str]:
    """Bytes of the store an episode, in the first and the second half."""
    half = len(warm) // 2
    rates = [
        (end["store"] - begin["store"]) / max(1, end["episodes"] - begin["episodes"])
        for begin, end in ((warm[0], warm[half]), (warm[half], warm[-1]))
    ]
    pace = (warm[-1]["at"] - warm[0]["at"]) / max(1, warm[-1]["steps"] - warm[0]["steps"])
    print(f"  store: {rates[0]:,.0f} -> {rates[1]:,.0f} bytes an episode; {pace:.1f} s a step")
    return (
        [f"the store takes {rates[1]:,.0f} bytes an episode after {rates[0]:,.0f}"] if rates[1] > 1.2 * rates[0] else []
    )


if __name__ == "__main__":
    sys.exit(main())
