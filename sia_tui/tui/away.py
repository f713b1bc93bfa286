"""The part of the window that knows whether the person is there, and tells who comes back what was decided meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime
from functools import partial

from textual import events
from textual.app import App

from sia_tui.core.digest import Digest, page
from sia_tui.store.reader import RunReader
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.garbage import Garbage
from sia_tui.tui.pieces import Laid, laid_out
from sia_tui.tui.presence import Presence
from sia_tui.tui.screens.page import Page
from sia_tui.tui.view import View
from sia_tui.tui.window import Source


class Away(App[None]):
    """`away` is what was decided, until the person has asked why."""

    paths: RunPaths
    source: Source
    now: Callable[[], datetime]
    away: Digest | None
    _presence: Presence | None
    _garbage: Garbage
    _shown: dict[str, View]

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.InputEvent) and not isinstance(event, events.MouseMove):
            self._garbage.touch()
            self._touch()
        await super().on_event(event)

    def _touch(self) -> None:
        """The person is here; one who comes back is told what was decided meanwhile."""
        if self._presence is not None and self._presence.touch():
            self.run_worker(partial(self._miss, self.paths, self._presence.since), thread=True, exit_on_error=False)

    def _miss(self, paths: RunPaths, since: str | None) -> None:
        """In a thread."""
        with suppress(StoreError, ValueError), closing(RunReader(paths.db)) as reader:
            self.call_from_thread(self._missed, paths, reader.digest(since))

    def _missed(self, paths: RunPaths, found: Digest) -> None:
        if paths == self.paths and not found.empty:
            self.away = found
            self._shown.clear()

    def action_why(self) -> None:
        """What was decided while the person was away; else, since the run's beginning."""
        since, paths = self.away.since if self.away else None, self.paths
        self.away = None
        self._shown.clear()
        self.push_screen(Page(f"{paths.name}: what was decided", partial(_digest_page, self.source, since, self.now())))


def _digest_page(source: Source, since: str | None, now: datetime) -> Laid:
    with closing(source.reader()) as reader:
        return laid_out(page(reader.digest(since), now))
