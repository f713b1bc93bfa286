"""`sia-tui` with a scripted agent, one part of which is killed by SIGKILL after every event of a run, in turn.

    python -m tests.benchmarks.dying SCRIPT WALK EVERY KILLS.jsonl resume RUN …

At event n, of each EVERY-th, the part is PARTS[(n / EVERY + WALK) % 6], so that six walks kill each part at each event. What
is killed is written down first; an engine's own starts are no events here, or they would move the others.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sia_tui.store.workspace import RunPaths
from sia_tui.store.writer import RunStore
from tests.e2e.killing import kill

PARTS = ("engine", "trainer", "worker", "gateway", "verifier", "window")
OF_THE_RUN = "select count(*) from events where kind != 'EngineStarted'"


def die(walk: int, every: int, kills: Path) -> None:
    """From here on every commit of events of a run is followed by a kill."""
    fold = RunStore._fold
    # Where a run's first commit is its last, the next engine begins anew, and would be killed there for ever.
    done = {json.loads(line)["event"] for line in kills.read_text().splitlines()} if kills.exists() else set[int]()

    def folded(store: RunStore, entries: list[Any]) -> None:
        fold(store, entries)
        [(events,)] = store._db.execute(OF_THE_RUN).fetchall()
        if all(type(made.event).__name__ == "EngineStarted" for made in entries):
            return
        if events % every or events in done:
            return
        part = PARTS[(events // every + walk) % len(PARTS)]
        killed = 1 if part == "engine" else kill(RunPaths(store._path.parent), part)
        line = {"event": events, "kind": type(entries[-1].event).__name__, "part": part, "killed": killed}
        with kills.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
        if part == "engine":
            os.kill(os.getpid(), signal.SIGKILL)

    RunStore._fold = folded  # type: ignore[method-assign]


if __name__ == "__main__":
    from sia_tui.cli.main import main
    from tests.e2e.script import plug_in

    script, walk, every, kills, *arguments = sys.argv[1:]
    plug_in(script)
    die(int(walk), int(every), Path(kills))
    raise SystemExit(main(arguments))
