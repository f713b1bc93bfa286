"""What a pane may ask of the window it stands in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, cast

from textual.widget import Widget

from sia_tui.core.digest import Digest
from sia_tui.store.browse import Browser, Wanted
from sia_tui.store.connection import Moment
from sia_tui.store.reader import Answer, RunReader
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.view import View
from sia_tui.tui.workplace import Workplace


@dataclass(frozen=True)
class Source:
    """Where a run is read: as its newest commit tells it, or as it was at a moment. Raises StoreError where it cannot be."""

    db: Path
    moment: Moment | None = None

    def reader(self) -> RunReader:
        return RunReader(self.db, self.moment)

    def browser(self) -> Browser:
        return Browser(self.db, self.moment)


class Window(Protocol):
    paths: RunPaths
    source: Source
    view: View
    now: Callable[[], datetime]
    place: Workplace | None
    """The workspace, where more than one run can be reached."""
    away: Digest | None
    """What was decided while the person was away, until they have asked why."""
    keys: Mapping[str, str]
    """What texts name, as this person has set them (`keymap.KEYS`)."""
    parted: Answer | None
    """To the verdict that was sent by leaving."""

    def ask_later(
        self, kind: str, body: Mapping[str, Any] | None = None, then: Callable[[Answer], None] | None = None
    ) -> None: ...

    def ask_now(self, kind: str, body: Mapping[str, Any]) -> Answer: ...

    def say(self, message: str, ok: bool) -> None: ...

    def may_steer(self, run: str | None = None) -> bool:
        """Whether the person may change anything of a run, of the open one if none is named; if not, that is said."""

    def fill_pane(self) -> None: ...

    def action_pane(self, name: str) -> None: ...

    def read_rollout(self, episode: str, back: str) -> None:
        """In its own pane; Esc leads `back` to another one."""

    def list_rollouts(self, wanted: Wanted) -> None:
        """Those alone."""

    async def open_run(self, name: str) -> None: ...

    async def close_run(self, name: str) -> None: ...


def window(widget: Widget) -> Window:
    """The window that `widget` stands in."""
    return cast(Window, widget.app)
