"""`sia-tui` with a scripted agent, one part of which is killed by SIGKILL after every event of a run, in turn; or, where
SECONDS is not 0, stopped for so long by SIGSTOP.

    python -m tests.benchmarks.dying SCRIPT WALK EVERY SECONDS KILLS.jsonl resume RUN …

At event n, of each EVERY-th, the part is PARTS[(n / EVERY + WALK) % 6], so that six walks kill each part at each event. What
is killed is written down first; an engine's own starts are no events here, or they would move the others.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sia_tui.store.workspace import RunPaths
from sia_tui.store.writer import RunStore
from tests.e2e.killing import kill, processes, stop_for

PARTS = ("engine", "trainer", "worker", "gateway", "verifier", "window")
NOT_OF_THE_RUN = ("EngineStarted", "RunPaused", "RunResumed")
OF_THE_RUN = f"select count(*) from events where kind not in {NOT_OF_THE_RUN}"


Act = Callable[[RunStore, int, str], None]
"""What is done after an event, given its number and kind."""


def after_each(every: int, told: Path, act: Act) -> None:
    """From here on each `every`-th event of a run is followed by that, at its very commit and once only."""
    fold = RunStore._fold
    # Where a run's first commit is its last, the next engine begins anew, and would meet it there for ever.
    done = {json.loads(line)["event"] for line in told.read_text().splitlines()} if told.exists() else set[int]()

    def folded(store: RunStore, entries: list[Any]) -> None:
        fold(store, entries)
        [(events,)] = store._db.execute(OF_THE_RUN).fetchall()
        if all(type(made.event).__name__ in NOT_OF_THE_RUN for made in entries):
            return
        if events % every == 0 and events not in done:
            done.add(events)
            act(store, events, type(entries[-1].event).__name__)

    RunStore._fold = folded  # type: ignore[method-assign]


def write_down(told: Path, **line: Any) -> None:
    with told.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")


def stopping(walk: int, every: int, stops: Path, seconds: float) -> Act:
    def stop(store: RunStore, event: int, kind: str) -> None:
        part = PARTS[(event // every + walk) % len(PARTS)]
        pids = [os.getpid()] if part == "engine" else processes(RunPaths(store._path.parent), part)
        write_down(stops, event=event, kind=kind, part=part, killed=len(pids))
        stop_for(seconds, pids)

    return stop


def dying(walk: int, every: int, kills: Path) -> Act:
    def die(store: RunStore, event: int, kind: str) -> None:
        part = PARTS[(event // every + walk) % len(PARTS)]
        killed = 1 if part == "engine" else kill(RunPaths(store._path.parent), part)
        write_down(kills, event=event, kind=kind, part=part, killed=killed)
        if part == "engine":
            os.kill(os.getpid(), signal.SIGKILL)

    return die


if __name__ == "__main__":
    from sia_tui.cli.main import main
    from tests.e2e.script import plug_in

    script, walk, every, seconds, told, *arguments = sys.argv[1:]
    plug_in(script)
    lot = (int(walk), int(every), Path(told))
    after_each(int(every), Path(told), stopping(*lot, float(seconds)) if float(seconds) else dying(*lot))
    raise SystemExit(main(arguments))
