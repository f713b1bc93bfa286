"""A page of plain text over the window: what a reading verb prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from sia_tui.core.text import clean, one_line
from sia_tui.store.version import StoreError
from sia_tui.tui.pieces import wrap
from sia_tui.tui.screens.over import Over
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.titled import titled


class Page(Over[None]):
    """`read` is called in a thread and may block."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,w", "dismiss(None)", "back"),
        Binding("y", "copy", "copy"),
    ]

    def __init__(self, title: str, read: Callable[[], str]) -> None:
        super().__init__()
        self._title, self._read = title, read
        self._text = ""

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
        self.app.copy_to_clipboard(self._text)
        self.notify("copied")

    def _find(self) -> None:
        """In a thread."""
        try:
            text = self._read()
        except (StoreError, ValueError, OSError) as error:
            text = f"cannot be read: {one_line(str(error), 300)}"
        self.app.call_from_thread(self._show, text)

    def _show(self, text: str) -> None:
        self._text = clean(text)
        self._lay()

    def _lay(self) -> None:
        lines = self.query_one("#page-text", Lines)
        rows = [row for line in self._text.splitlines() for row in (wrap(line, max(20, lines.room)) or [""])]
        lines.rewrap([Content(row) for row in rows])
