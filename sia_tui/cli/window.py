"""The terminal window, opened on a run or on home. A run's engine is another process and lives on without it.

What takes long to import is imported where it is asked for: a person waits for the first picture.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sia_tui.cli.main import DONE, Failure, UsageError
from sia_tui.person import user_file, user_folder, whoami
from sia_tui.store.asked import is_anothers
from sia_tui.store.place import require_in_place
from sia_tui.store.reader import Answer, RunReader, append_command
from sia_tui.store.workspace import RunPaths, Workspace

if TYPE_CHECKING:
    from sia_tui.tui.app import SiaApp
    from sia_tui.tui.manners import Manners
    from sia_tui.tui.pieces import Laid
    from sia_tui.tui.workplace import Access, Draft

CONFIGS = Path("configs")


def home(options: argparse.Namespace) -> int:
    """The window on a workspace's runs; without a terminal, their list."""
    workspace = Workspace.locate(options.workspace)
    if not fits():
        from sia_tui.cli.reading import ls

        return ls(argparse.Namespace(workspace=options.workspace, json=False))
    workspace.create()
    return open_window(workspace, None, options)


def attach(options: argparse.Namespace) -> int:
    """Open the window on a run; without a terminal, print its story. Leaving does not disturb it."""
    workspace = Workspace.locate(options.workspace)
    paths = workspace.existing(options.run)
    if fits() and not options.plain:
        RunReader(paths.db).close()
        return open_window(workspace, paths, options)
    from sia_tui.cli.running import printed

    return printed(paths)


def fits() -> bool:
    """Whether there is a terminal to open it on, or a browser's."""
    return (sys.stdin.isatty() and sys.stdout.isatty()) or "TEXTUAL_DRIVER" in os.environ


def open_window(workspace: Workspace, paths: RunPaths | None, options: argparse.Namespace) -> int:
    """Show runs until the person leaves."""
    from sia_tui.tui.heading import parting

    app = window(workspace, paths, bool(getattr(options, "ascii", False)), bool(getattr(options, "read_only", False)))
    ends_with_its_terminal()
    app.run()
    if app.view.run:
        print(parting(app.view, app.parted))
    return app.return_code or DONE


def ends_with_its_terminal() -> None:
    """Also where a nohup around it has SIGHUP ignored: it would read on for ever where nothing is to come, with a whole core."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def window(workspace: Workspace, paths: RunPaths | None, ascii: bool = False, read_only: bool = False) -> SiaApp:
    """The app, given what it may ask of the outside. Raises UsageError for a user's file that cannot be used."""
    from sia_tui.tui.app import SiaApp

    manners = replace(own_manners(), read_only=read_only)
    place = House(workspace)
    access = place.access(paths) if paths is not None else _nothing()
    return SiaApp(paths, access.ask, access.resume, place=place, manners=replace(manners, ascii=ascii or manners.ascii))


def own_manners() -> Manners:
    """As the person's own file says. Raises UsageError for one that cannot be used."""
    from sia_tui.tui.manners import Manners

    manners = Manners(themes=user_folder() / "themes")
    if not user_file().exists():
        return manners
    from sia_tui.config import ConfigError
    from sia_tui.config.user import load_user

    try:
        user = load_user()
    except ConfigError as error:
        raise UsageError(str(error)) from error
    return replace(manners, theme=user.ui.theme, ascii=user.ui.ascii, keys=user.keys)


class House:
    """The workspace, as the command line's verbs reach it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.user = whoami()

    def open(self, name: str) -> Access:
        return self.access(self.workspace.existing(name))

    def access(self, paths: RunPaths) -> Access:
        from sia_tui.tui.workplace import Access

        def ask(kind: str, body: Mapping[str, Any]) -> Answer:
            from sia_tui.cli.asking import answered

            try:
                return answered(self.workspace, paths, kind, body)
            except UsageError as error:
                return Answer(False, str(error))

        def resume() -> Answer:
            from sia_tui.cli.reading import read

            if is_anothers(paths):
                return Answer(False, "another user's run goes on when they resume it")
            require_in_place(paths)
            if read(paths).status == "paused":
                append_command(paths.db, "resume", whoami(), {})
            return self._spawn(paths)

        return Access(paths, ask, resume)

    def configs(self) -> Sequence[Path]:
        return sorted(CONFIGS.glob("*.yaml"))

    def begin(self, draft: Draft) -> Answer:
        from sia_tui.cli.beginning import begin

        try:
            paths = begin(self.workspace, draft.config, list(draft.overrides), draft.gate, draft.name)[0]
        except UsageError as error:
            return Answer(False, str(error))
        answer = self._spawn(paths)
        return Answer(True, paths.name) if answer.ok else answer

    def estimate(self, draft: Draft) -> Answer:
        from sia_tui.cli.plan import estimate

        try:
            return Answer(True, estimate(draft.config, draft.overrides))
        except UsageError as error:
            return Answer(False, str(error))

    def branch(self, run: str, generation: int, name: str) -> Answer:
        from sia_tui.cli.beginning import branched

        try:
            paths = branched(self.workspace, self.workspace.existing(run), f"g{generation}", name, [])
        except UsageError as error:
            return Answer(False, str(error))
        answer = self._spawn(paths)
        return Answer(True, paths.name) if answer.ok else answer

    def export(self, run: str, generation: int, folder: str) -> Answer:
        from sia_tui.cli.exporting import series

        try:
            return Answer(True, series(self.workspace.existing(run), generation, folder))
        except (Failure, UsageError) as error:
            return Answer(False, str(error))

    def delete(self, name: str) -> Answer:
        from sia_tui.cli.deleting import deleted

        try:
            return Answer(True, deleted(self.workspace, name))
        except UsageError as error:
            return Answer(False, str(error))

    def compare(self, one: str, other: str) -> Laid:
        from sia_tui.cli.compare import comparison

        return comparison(self.workspace, one, other)

    def _spawn(self, paths: RunPaths) -> Answer:
        from sia_tui.cli.background import spawn

        try:
            return Answer(True, f"engine started, pid {spawn(self.workspace, paths)}")
        except Failure as error:
            return Answer(False, str(error))


def _nothing() -> Access:
    from sia_tui.tui.workplace import Access

    said = Answer(False, "no run is open")
    return Access(RunPaths(Path()), lambda kind, body: said, lambda: said)
