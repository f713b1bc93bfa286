"""A disk that is full after every event of a run with both levers, and has room again once the run has said so.

    python -m tests.benchmarks.bench_full --folder DIR --every 8

The run's workspace is on a small disk of its own (a tmpfs: Linux, root or user namespaces). After each event, of episodes after
each eighth, what is left of it is taken (`full`), at the very commit; once a write finds no room, the engine must pause, say so,
and leave no process and a run that `verify` finds whole. Then there is room, and it is resumed. At the end the run is compared
with one that always had room (`alike`): ledger, every episode and rollout one for one, adapters, leftovers. What was filled
stands in DIR/filled.jsonl. Exit status 1 where it was not alike, or something other than a pause came of it.

`--every 0`: only what the trainer writes stands on a disk of its own, of four pages at first and sixteen more each time that it
was full, so that its lessons, checkpoints, step adapters and result each are the first to find no room.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from sia_tui.store.workspace import Workspace
from tests.benchmarks.bench_kills import MOST_S, TOLERANCE, lives_of, small_desk, undisturbed
from tests.benchmarks.full import PAGE, TINY
from tests.e2e.alike import broken, differences, state_of
from tests.e2e.conftest import ROOT, Desk
from tests.e2e.killing import paths_of, require_no_orphans

SIZE = 600 << 20
MOUNTED = "SIA_SMALL_DISK"
GROWS = 16 * PAGE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where its lists and logs are kept; else a temporary one")
    parser.add_argument("--every", type=int, default=8, help="after each so-many-th episode only; 0: see above")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sia-full-") as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if MOUNTED not in os.environ:
            return on_a_small_disk(folder, options.every)
        desk = small_desk(folder / "disk")
        undisturbed(desk)
        if options.every:
            faults = walk(desk, folder, options.every)
            report(folder, desk)
        else:
            faults = tight(desk, folder)
    print("\n".join(faults) or "alike: ledger, episodes, rollouts, adapters; nothing left over")
    return 1 if faults else 0


def on_a_small_disk(folder: Path, every: int) -> int:
    """This again, where DIR/disk is one; it is gone with the process."""
    (folder / "disk").mkdir(exist_ok=True)
    for kept in ("filled.jsonl", "full.log"):
        (folder / kept).unlink(missing_ok=True)
    mount = f'mount -t tmpfs -o size={SIZE} small "$0/disk" && exec "$@"'
    namespace = ["unshare", "-m", *([] if os.geteuid() == 0 else ["-r"])]
    again = [sys.executable, "-m", "tests.benchmarks.bench_full", "--folder", str(folder), "--every", str(every)]
    command = [*namespace, "sh", "-c", mount, str(folder), *again]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {MOUNTED: "1"}, check=False).returncode


def walk(desk: Desk, folder: Path, every: int) -> list[str]:
    """One run from its first event to its last; returns what was wrong on the way and at its end."""
    paths, workspace, faults = paths_of(desk, "full"), Workspace(desk.workspace), list[str]()
    filler, told = desk.workspace.parent / "filler", folder / "filled.jsonl"
    while not (paths.db.exists() and state_of(paths).over):
        before = filled(told)
        status, said = live(desk, folder, every, filler)
        was_full = filler.exists()
        filler.unlink(missing_ok=True)
        if status == 0 and state_of(paths).over:
            continue
        if not was_full or status != 1 or "no room left to write" not in said:
            return [*faults, f"after {filled(told)[len(before) :]} it ended with {status}: {said[-300:]}"]
        require_no_orphans(paths)
        faults += [f"after {filled(told)[-1]}: {fault}" for fault in broken(workspace, paths)]
    return faults + differences(workspace, paths, paths_of(desk, "calm"), TOLERANCE)


def tight(desk: Desk, folder: Path) -> list[str]:
    paths, workspace, faults, size = paths_of(desk, "full"), Workspace(desk.workspace), list[str](), TINY
    found: Counter[str] = Counter()
    while True:
        status, said = live(desk, folder, 0, folder / "none")
        if status == 0 and state_of(paths).over:
            break
        paused = re.search(r"paused: no room left to write in (.*?) \(.*?free.*?\): (.*?);", said)
        if status != 1 or paused is None or not Path(paused[1]).is_relative_to(paths.training):
            return [*faults, f"with {size} bytes it ended with {status}: {said[-300:]}"]
        found[f"{Path(paused[1]).relative_to(paths.training)}: {paused[2]}"] += 1
        require_no_orphans(paths)
        faults += [f"with {size} bytes: {fault}" for fault in broken(workspace, paths)]
        size += GROWS
        subprocess.run(["mount", "-o", f"remount,size={size}", str(paths.training)], check=True)
    print(f"full {found.total()} times, the last with {size - GROWS:,} bytes:")
    for words, times in found.most_common():
        print(f"  {times} × {words}")
    return faults + differences(workspace, paths, paths_of(desk, "calm"), TOLERANCE)


def live(desk: Desk, folder: Path, every: int, filler: Path) -> tuple[int, str]:
    """One life of an engine; how it ended and what it said."""
    words = ("resume", "full") if paths_of(desk, "full").db.exists() else ("run", str(desk.config), "--name", "full")
    program = ("tests.benchmarks.full", "walk", str(every), str(folder / "filled.jsonl"), str(filler))
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", *program, *words],
        cwd=ROOT,
        env=desk.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=MOST_S,
        check=False,
    )
    with (folder / "full.log").open("a") as log:
        log.write(f"{ended.stdout}--- {ended.returncode} after {time.monotonic() - began:.1f} s\n")
    return ended.returncode, ended.stdout


def filled(told: Path) -> list[tuple[int, str]]:
    lines = [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []
    return [(line["event"], line["kind"]) for line in lines]


def report(folder: Path, desk: Desk) -> None:
    kinds = Counter(kind for _, kind in filled(folder / "filled.jsonl"))
    print(f"full {kinds.total()} times, after {len(kinds)} kinds of events: {dict(kinds.most_common())}")
    print(f"engines started: {lives_of(paths_of(desk, 'full'))}; what found no room:")
    found = re.findall(r"paused: no room left to write in .*? free.*?\): (.*?);", (folder / "full.log").read_text())
    for words, times in Counter(found).most_common():
        print(f"  {times} × {words}")


if __name__ == "__main__":
    sys.exit(main())
