"""The window's way out beside its panes: notices, the clipboard, the terminal's title. Nothing in it steers, nor is markup."""

from __future__ import annotations

import html
import re

from rich.cells import cell_len
from textual import events, on
from textual.app import App
from textual.css.query import NoMatches
from textual.notifications import SeverityLevel
from textual.widget import MountError

from sia_tui.core.text import clean, one_line
from sia_tui.tui.keymap import shown_key

_DRAWN = re.compile(r'textLength="([\d.]+)"([^>]*>)([^<]*)</text>')


class Door(App[None]):
    """Whoever says something need not think of it."""

    _entitled = ""

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """`markup` is the framework's to ask for, and is not heard: what is said may hold a model's words."""
        super().notify(clean(message), title=clean(title), severity=severity, timeout=timeout, markup=False)

    def copy_to_clipboard(self, text: str) -> None:
        """It may be pasted into a shell, which obeys control characters too."""
        super().copy_to_clipboard(clean(text))

    def _entitle(self, title: str) -> None:
        """Of the terminal; the one that it had comes back at the end."""
        if title != self._entitled and self._driver is not None and not self.is_headless:
            before = "" if self._entitled else "\x1b[22;0t"
            self._driver.write(f"{before}\x1b]0;{one_line(title)}\x07" if title else "\x1b[23;0t")
            self._entitled = title

    def export_screenshot(self, *, title: str | None = None, simplify: bool = False) -> str:
        """Rich squeezes a wide character into one cell (`textLength` counts characters); here each has its own two."""
        return _DRAWN.sub(_in_cells, super().export_screenshot(title=title, simplify=simplify))

    def _handle_exception(self, error: Exception) -> None:
        """Once it leaves, Textual mounts nothing any more: a pane or dialogue that was coming misses its own parts, which is
        no fault to end with."""
        left = self._exit or not self.is_running
        if not (left and isinstance(error, NoMatches | MountError)):
            super()._handle_exception(error)

    # Two notices of the framework's own are markup.

    def action_help_quit(self) -> None:
        self.notify(f"{shown_key(self, 'app.quit')} leaves")

    @on(events.DeliveryComplete)
    def _on_picture(self, event: events.DeliveryComplete) -> None:
        if event.name == "screenshot":
            event.prevent_default()
            self.notify(f"saved as {event.path}" if event.path else "saved", title="screenshot")


def _in_cells(drawn: re.Match[str]) -> str:
    length, between, text = drawn.groups()
    plain = html.unescape(text)
    if cell_len(plain) == len(plain):
        return drawn[0]
    return f'textLength="{float(length) * cell_len(plain) / len(plain):g}"{between}{text}</text>'
