"""SIGKILL to a run's engine, trainer, gateway, verifier or harness workers, at a moment told by its database."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

from sia_tui.store.workspace import RunPaths, Workspace
from tests.e2e.conftest import ROOT, Desk

COMMANDS = {
    "trainer": "sia_tui.weights.trainer",
    "gateway": "sia_tui.policy.gateway",
    "worker": "bwrap",
    "verifier": "verifier/verify.py",
    "window": "attach",
}
"""A word of each part's command line; the engine is the process that was started."""
MOMENT_S = 240.0


def start(desk: Desk, *arguments: str, script: str, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            desk.command(*arguments, script=script),
            cwd=ROOT,
            env=desk.environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )


def paths_of(desk: Desk, run: str) -> RunPaths:
    return Workspace(desk.workspace).run(run)


def asked(paths: RunPaths, query: str) -> int:
    """One number out of run.db; 0 while there is none."""
    try:
        connection = sqlite3.connect(f"{paths.db.as_uri()}?mode=ro", uri=True)
        try:
            return int(connection.execute(query).fetchone()[0])
        finally:
            connection.close()
    except sqlite3.OperationalError:
        return 0


def wait_for(paths: RunPaths, engine: subprocess.Popen[bytes], query: str, least: int) -> bool:
    """Until the query gives `least`. False when the engine ended before."""
    end = time.monotonic() + MOMENT_S
    while time.monotonic() < end:
        if asked(paths, query) >= least:
            return True
        if engine.poll() is not None:
            return False
        time.sleep(0.01)
    raise AssertionError(f"{query} does not come to {least}")


def kill(paths: RunPaths, part: str) -> int:
    """SIGKILL to every process of that part; returns how many there were."""
    found = processes(paths, part)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return len(found)


def stop_for(seconds: float, pids: list[int]) -> None:
    """SIGSTOP, and SIGCONT after that time, by somebody who is not stopped with them."""
    if pids:
        named = " ".join(map(str, pids))
        subprocess.Popen(["sh", "-c", f"sleep {seconds}; kill -CONT {named} 2>/dev/null"], start_new_session=True)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)


def processes(paths: RunPaths, part: str) -> list[int]:
    found = windows(paths) if part == "window" else belonging(paths)
    return [int(entry.name) for entry in found if COMMANDS[part] in command(entry)]


def kill_until(paths: RunPaths, part: str, said: str, log: Path) -> None:
    """Kill that part, and whatever starts in its place, until the engine says so."""
    end = time.monotonic() + 30
    while said not in log.read_text():
        assert time.monotonic() < end, f"the engine never said {said!r}"
        kill(paths, part)
        time.sleep(0.002)


def require_no_orphans(paths: RunPaths) -> None:
    """Gateway, workers, trainer and verifier die with their engine, within seconds."""
    end = time.monotonic() + 15
    while left := belonging(paths):
        if time.monotonic() > end:
            raise AssertionError(f"still there after the kill: {[command(entry) for entry in left]}")
        time.sleep(0.05)


def belonging(paths: RunPaths) -> list[Path]:
    """The /proc entries of processes whose command line names the run's folder, and of an engine in the background."""
    numbered = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    engine = f"resume\0{paths.name}\0--workspace\0{paths.root.parent.parent}"
    return [entry for entry in numbered if f"{paths.root}/" in command(entry) or engine in command(entry)]


def windows(paths: RunPaths) -> list[Path]:
    """The /proc entries of windows on the run."""
    return [entry for entry in Path("/proc").glob("[0-9]*") if f"attach\0{paths.name}\0" in command(entry)]


def command(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
