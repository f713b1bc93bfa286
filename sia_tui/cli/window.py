"""The terminal window, opened on a run. Its engine is another process and lives on without it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sia_tui.cli.asking import answered, whoami
from sia_tui.cli.background import spawn
from sia_tui.cli.main import DONE, Failure, UsageError
from sia_tui.cli.reading import read
from sia_tui.store.reader import Answer, append_command
from sia_tui.store.workspace import RunPaths, Workspace

if TYPE_CHECKING:
    from sia_tui.tui.app import SiaApp


def fits() -> bool:
    """Whether there is a terminal to open it on, or a browser's."""
    return (sys.stdin.isatty() and sys.stdout.isatty()) or "TEXTUAL_DRIVER" in os.environ


def open_window(workspace: Workspace, paths: RunPaths) -> int:
    """Show the run until the person leaves."""
    from sia_tui.tui.heading import parting

    app = window(workspace, paths)
    app.run()
    print(parting(app.view))
    return app.return_code or DONE


def window(workspace: Workspace, paths: RunPaths) -> SiaApp:
    """The app, given what it may ask of the outside."""
    from sia_tui.tui.app import SiaApp

    def ask(kind: str, body: Mapping[str, Any]) -> Answer:
        try:
            return answered(workspace, paths, kind, body)
        except UsageError as error:
            return Answer(False, str(error))

    def resume() -> Answer:
        if read(paths).status == "paused":
            append_command(paths.db, "resume", whoami(), {})
        try:
            return Answer(True, f"engine started, pid {spawn(workspace, paths)}")
        except Failure as error:
            return Answer(False, str(error))

    return SiaApp(paths, ask, resume)
