"""One line for the reason of a no. Enter gives it, Esc leaves everything as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from sia_tui.tui.keymap import shown_key


class Reason(Input):
    """Out of sight until it is opened."""

    DEFAULT_CSS = "Reason { display: none; }"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "say it", key_display="enter"),
        Binding("escape", "cancel", "cancel"),
    ]

    @dataclass
    class Given(Message):
        text: str
        about: str
        """Hash of what was on the screen when the line was opened."""

    class Cancelled(Message):
        pass

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, disabled=True)
        self._about = ""

    def open(self, about: str, does: str) -> None:
        """`does` says what Enter will."""
        gives, cancels = shown_key(self, "reason.submit"), shown_key(self, "reason.cancel")
        self.placeholder = f"why not? (optional) {gives} {does}; {cancels} cancels"
        self._about = about
        self.value = ""
        self.display, self.disabled = True, False
        self.focus()

    def close(self) -> None:
        self.display, self.disabled = False, True
        self.value = ""

    def action_cancel(self) -> None:
        self.close()
        self.post_message(self.Cancelled())

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        text = self.value.strip()
        self.close()
        self.post_message(self.Given(text, self._about))
