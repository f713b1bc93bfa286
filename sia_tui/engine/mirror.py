"""Metrics copied to trackio or wandb by a process of its own, which is one more reader of the run.

It follows run.db as every client does, so nothing that happens in there can hold up or fail the run. Each training is a
run of the tracker, an optimizer step a step. It ends when the engine does, after a last look.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, cast

from sia_tui.core.text import one_line
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import RunPaths
from sia_tui.store.writer import now

PROJECT = "sia-tui"
EVERY_S = 2.0
FINISH_S = 60.0
"""What a tracker may take to send the rest when the engine has left."""


class Tracker(Protocol):
    """What trackio and wandb have in common."""

    __name__: str

    def init(self, **settings: Any) -> Any: ...

    def log(self, data: dict[str, float], step: int) -> Any: ...

    def finish(self) -> Any: ...


class Mirror:
    """The engine's side: started, asked now and then whether it failed, left to itself at the end."""

    def __init__(self, paths: RunPaths, to: str) -> None:
        self._log, self._to = paths.logs / "mirror.log", to
        command = [sys.executable, "-m", "sia_tui.engine.mirror", str(paths.root), "--to", to, "--since", now()]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._told = False

    def fault(self) -> str | None:
        """Why it ended before the engine did, in one line and once."""
        if self._told or self._process.poll() is None:
            return None
        self._told = True
        with suppress(OSError):
            said = self._log.read_text(errors="replace").strip().splitlines()
            return f"nothing goes to {self._to} any more, the run goes on: {one_line(said[-1] if said else 'it ended', 300)}"
        return None

    def stop(self) -> None:
        """The end of its input tells it; nobody waits."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()


class Copy:
    """What was written since `since`, sent once."""

    def __init__(self, tracker: Tracker, run: str, since: str) -> None:
        self._tracker, self._run, self._since = tracker, run, since
        self._sent: set[tuple[str, int, str]] = set()
        self._open: str | None = None

    def follow(self, reader: RunReader) -> None:
        """Send what is new. Raises StoreError and whatever the tracker raises."""
        for step in reader.state().steps:
            if step.training is None:
                continue
            for row in reader.metrics(step.id, since=self._since):
                if (step.id, row.step, row.at) not in self._sent:
                    self._sent.add((step.id, row.step, row.at))
                    self._begin(step.id, asdict(step.proposal.plan) if step.proposal.plan else {})
                    self._tracker.log(dict(row.values), step=row.step)

    def finish(self) -> None:
        if self._open is not None:
            self._open = None
            self._tracker.finish()

    def _begin(self, training: str, plan: Mapping[str, Any]) -> None:
        """A training that an earlier engine began goes on under its name."""
        if training == self._open:
            return
        self.finish()
        name = f"{self._run}-{training}"
        known_by = {"id": name} if self._tracker.__name__ == "wandb" else {}
        self._tracker.init(project=PROJECT, name=name, config=dict(plan), resume="allow", **known_by)
        self._open = training


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--to", required=True)
    parser.add_argument("--since", required=True)
    options = parser.parse_args()
    try:
        tracker = cast(Tracker, importlib.import_module(options.to))
    except ImportError as error:
        print(f"{error}; pip install {options.to}", flush=True)
        return 1
    paths, over = RunPaths(options.run), threading.Event()
    threading.Thread(target=_wait_for_the_end, args=(over,), daemon=True).start()
    copy, reader = Copy(tracker, paths.name, options.since), RunReader(paths.db)
    while not over.wait(EVERY_S):
        copy.follow(reader)
    copy.follow(reader)
    copy.finish()
    return 0


def _wait_for_the_end(over: threading.Event) -> None:
    """The engine closes our input, however it ends; what a tracker cannot send by then stays in run.db."""
    while os.read(0, 4096):
        pass
    over.set()
    threading.Timer(FINISH_S, os._exit, (1,)).start()


if __name__ == "__main__":
    code = 1
    try:
        code = main()
    except Exception:  # noqa: BLE001 - whatever a tracker raises, its last line is what the engine tells
        traceback.print_exc()
    # A tracker may leave threads behind that never end.
    sys.stdout.flush()
    os._exit(code)
