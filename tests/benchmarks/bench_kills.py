"""SIGKILL after every event of a run with both levers: engine, trainer, worker, gateway, verifier and window.

    python -m tests.benchmarks.bench_kills --folder DIR --walks 6 --side 2

A run is walked through: after event n the part n + walk is killed, at the very commit (`dying`), so that six walks kill each
part after each event. An engine that was killed leaves no process and a run that `verify` finds whole, and is resumed. At its
end each walk is compared with the undisturbed run (`alike`): ledger, every episode and rollout one for one, adapters,
processes, worktrees, leftovers. One lane, so that the order of events is one. Broken off and said again, it goes on where it
was; what was killed stands in DIR/walk-N.jsonl. `--every 8` is a sample. With `--stop 3` nothing is killed: the part is
stopped by SIGSTOP for three seconds, and goes on. Exit status 1 where a walk was not alike.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import yaml

from sia_tui.store.workspace import RunPaths, Workspace
from tests.benchmarks.dying import PARTS
from tests.e2e.alike import adapter_gap, broken, differences, state_of
from tests.e2e.conftest import ROOT, Desk, make_desk
from tests.e2e.killing import asked, paths_of, require_no_orphans
from tests.terminal import Terminal

TOLERANCE = 0.0
"""One lane answers one rollout at a time, so a training that is gone on with computes the very same numbers."""
MOST_S = 600.0
"""Of one life of an engine."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="kept, to go on from; else a temporary one")
    parser.add_argument("--walks", type=int, default=1, help="of 6: each begins with another part")
    parser.add_argument("--every", type=int, default=1, help="kill after each so-many-th event only")
    parser.add_argument("--side", type=int, default=1, help="walks side by side")
    parser.add_argument("--stop", type=float, default=0.0, help="stop it for so many seconds instead of killing it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sia-kills-") as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        desk = small_desk(folder)
        undisturbed(desk)
        with ThreadPoolExecutor(options.side) as pool:
            faults = [
                fault
                for found in pool.map(lambda n: walk(desk, n, options.every, options.stop), range(options.walks))
                for fault in found
            ]
        report(folder, desk, options.walks)
    print("\n".join(faults) or "alike: ledger, episodes, rollouts, adapters; nothing left over")
    return 1 if faults else 0


def small_desk(root: Path) -> Desk:
    """Six charges: a step of every fate, both levers and test in some 260 events."""
    if (root / "tiny.yaml").exists():
        return Desk(root / "workspace", root / "tiny.yaml")
    desk = make_desk(root, charges=6, per_charge=14, test_per_charge=1)
    config = yaml.safe_load(desk.config.read_text()) | {
        "harness": {"lanes": 1},
        "evaluate": {"train": 6, "dev": 12, "preview": 4, "hidden": 4, "test": 4, "trace": 0},
        "weights": {"pilot": 6},
    }
    desk.config.write_text(yaml.safe_dump(config))
    return desk


def undisturbed(desk: Desk) -> None:
    paths = paths_of(desk, "calm")
    words = ("resume", "calm") if paths.db.exists() else ("run", str(desk.config), "--name", "calm")
    if not (paths.db.exists() and state_of(paths).over):
        ended = desk.cli(*words, script="walk", timeout=900)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def walk(desk: Desk, number: int, every: int, stop_s: float = 0.0) -> list[str]:
    """One run from its first event to its last; returns what was wrong on the way and at its end."""
    name, faults = f"walk-{number}", list[str]()
    paths, workspace = paths_of(desk, name), Workspace(desk.workspace)
    with windows(desk, name):
        while not (paths.db.exists() and state_of(paths).over):
            status = live(desk, name, number, every, stop_s)
            if status not in (0, -signal.SIGKILL):
                return [*faults, f"{name}: the engine ended with {status}; see {name}.log"]
            require_no_orphans(paths)
            faults += [f"{name}: {fault}" for fault in broken(workspace, paths)]
    calm = paths_of(desk, "calm")
    return faults + [f"{name}: {found}" for found in differences(workspace, paths, calm, TOLERANCE)]


def live(desk: Desk, name: str, number: int, every: int, stop_s: float) -> int:
    """One life of an engine; returns how it ended."""
    root = desk.workspace.parent
    words = ("resume", name) if paths_of(desk, name).db.exists() else ("run", str(desk.config), "--name", name)
    program = ("tests.benchmarks.dying", "walk", str(number), str(every), str(stop_s), str(root / f"{name}.jsonl"))
    began = time.monotonic()
    with (root / f"{name}.log").open("ab") as log:
        ended = subprocess.run(
            [sys.executable, "-m", *program, *words],
            cwd=ROOT,
            env=desk.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            timeout=MOST_S,
        )
        log.write(f"--- {ended.returncode} after {time.monotonic() - began:.1f} s\n".encode())
    return ended.returncode


@contextmanager
def windows(desk: Desk, name: str) -> Iterator[None]:
    """There is always a window on the run; where one is killed another opens."""
    over, paths = threading.Event(), paths_of(desk, name)

    def look() -> None:
        while not over.wait(0.2):
            if not paths.db.exists():
                continue
            with Terminal([sys.executable, "-m", "sia_tui", "attach", name], desk.environment()) as window:
                while not over.is_set() and window.ended() is None:
                    window.drain()

    opened = threading.Thread(target=look)
    opened.start()
    try:
        yield
    finally:
        over.set()
        opened.join()


def report(folder: Path, desk: Desk, walks: int) -> None:
    lines = [
        json.loads(line) for n in range(walks) for line in (folder / f"walk-{n}.jsonl").read_text().splitlines() if line
    ]
    killed = Counter(line["part"] for line in lines if line["killed"])
    told = ", ".join(f"{part} {killed[part]}" for part in PARTS)
    print(f"{killed.total()} kills or stops after {len({line['event'] for line in lines})} events: {told}")
    gaps = [adapter_gap(paths_of(desk, f"walk-{n}"), paths_of(desk, "calm")) for n in range(walks)]
    lives = [lives_of(paths_of(desk, f"walk-{n}")) for n in range(walks)]
    print(f"engines started: {sum(lives)}; adapters differ by at most {max(gaps):.2g}")


def lives_of(paths: RunPaths) -> int:
    return asked(paths, "select count(*) from events where kind = 'EngineStarted'")


if __name__ == "__main__":
    sys.exit(main())
