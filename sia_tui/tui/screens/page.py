"""A page of text over the window: what a reading verb prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from sia_tui.core.text import one_line
from sia_tui.store.version import StoreError
from sia_tui.tui.pieces import Laid, laid_out
from sia_tui.tui.screens.over import Over
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.widgets.titled import titled

UNBROKEN = 10_000
"""Cells in which no line has to be broken."""


class Page(Over[None]):
    """`read` is called in a thread and may block."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,w", "dismiss(None)", "back"),
        Binding("y", "copy", "copy"),
    ]

    def __init__(self, title: str, read: Callable[[], Laid]) -> None:
        super().__init__()
        self._title, self._read = title, read
        self._laid = laid_out("")

    def compose(self) -> ComposeResult:
        yield titled(
            Lines(id="page-text", has_cursor=False, empty="reading …", classes="sheet"),
            self._title,
        )

    def on_mount(self) -> None:
        self.run_worker(self._find, thread=True, exit_on_error=False)

    def on_resize(self) -> None:
        self.call_after_refresh(self._lay)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard("\n".join(row.plain for row in self._laid(UNBROKEN)))
        self.notify("copied")

    def _find(self) -> None:
        """In a thread."""
        try:
            laid = self._read()
        except (StoreError, ValueError, OSError) as error:
            laid = laid_out(f"cannot be read: {one_line(str(error), 300)}")
        self.app.call_from_thread(self._show, laid)

    def _show(self, laid: Laid) -> None:
        self._laid = laid
        self._lay()

    def _lay(self) -> None:
        lines = self.query_one("#page-text", Lines)
        lines.rewrap([content(row) for row in self._laid(max(20, lines.room))])
