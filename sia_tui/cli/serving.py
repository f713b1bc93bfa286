"""`serve`: the window on a run, in a browser."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from sia_tui.cli.main import DONE, Failure, UsageError
from sia_tui.core.text import one_line
from sia_tui.store.workspace import Workspace

if TYPE_CHECKING:
    from sia_tui.web.server import Guarded


def serve(options: argparse.Namespace) -> int:
    from sia_tui.web.server import ANYWHERE, LOOPBACK, Guarded

    workspace = Workspace.locate(options.workspace)
    paths = workspace.existing(options.run)
    command = [sys.executable, "-m", "sia_tui", "attach", paths.name, "--workspace", str(workspace.root)]
    if options.read_only:
        command.append("--read-only")
    if options.host in ANYWHERE and not options.url:
        raise UsageError(
            f"--host {options.host}: say with --url where browsers find it, as in http://this-machine:8000"
        )
    try:
        server = Guarded(command, options.host, options.port, options.url, f"sia-tui · {paths.name}")
    except ValueError as error:
        raise UsageError(f"--url {one_line(str(error), 200)}") from error
    if options.host not in LOOPBACK:
        may = "look" if options.read_only else "decide"
        print(
            f"whoever is told the address can {may}; anybody on the way can read it, unless --url is https", flush=True
        )
    try:
        asyncio.run(_until_told(server))
    except OSError as error:
        raise Failure(f"{options.host}:{options.port}: {one_line(error.strerror or str(error))}; try --port") from error
    return DONE


async def _until_told(server: Guarded) -> None:
    serving = asyncio.ensure_future(server.run(lambda: print(f"open {server.login}", flush=True)))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    await asyncio.wait({serving})
    if not serving.cancelled():
        serving.result()
