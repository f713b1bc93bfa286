"""An engine that outlives whoever started it."""

from __future__ import annotations

import subprocess
import sys
import time

from sia_tui.cli.main import Failure
from sia_tui.store.lock import is_held, starting
from sia_tui.store.workspace import RunPaths, Workspace

UP_S = 15.0
PROGRAM = (sys.executable, "-m", "sia_tui")


def spawn(workspace: Workspace, paths: RunPaths, headless: bool = False) -> int:
    """Start an engine on the run and return its pid once it holds it. Raises Failure."""
    if sys.platform != "linux":
        raise Failure(f"engines need Linux; on {sys.platform} runs can only be looked at")
    paths.logs.mkdir(parents=True, exist_ok=True)
    with starting(paths.starting):
        return _up(workspace, paths, headless)


def _up(workspace: Workspace, paths: RunPaths, headless: bool) -> int:
    command = [*PROGRAM, "resume", paths.name, "--workspace", str(workspace.root)]
    with (paths.logs / "engine.out").open("ab") as out:
        child = subprocess.Popen(
            [*command, "--headless" if headless else "--wait"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    end = time.monotonic() + UP_S
    while not is_held(paths.lock):
        if child.poll() is not None or time.monotonic() > end:
            raise Failure(f"the engine did not come up; see {paths.logs / 'engine.out'}")
        time.sleep(0.05)
    return child.pid
