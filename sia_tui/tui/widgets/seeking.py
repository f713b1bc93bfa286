"""One line for a text to go to in what is read. Enter goes there, Esc leaves everything as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from sia_tui.tui.keymap import shown_key


class Seeking(Input):
    """Out of sight until it is opened."""

    DEFAULT_CSS = "Seeking { display: none; }"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "go to it", key_display="enter"),
        Binding("escape", "cancel", "cancel"),
    ]

    @dataclass
    class Given(Message):
        """The text; None: as before."""

        text: str | None

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, disabled=True)

    def open(self) -> None:
        goes, cancels = shown_key(self, "seeking.submit"), shown_key(self, "seeking.cancel")
        self.placeholder = f"text in this trajectory: {goes} goes to it, or without any unmarks; {cancels} cancels"
        self.display, self.disabled = True, False
        self.focus()

    def close(self) -> None:
        self.display, self.disabled = False, True
        self.value = ""

    def action_cancel(self) -> None:
        self._give(None)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._give(self.value.strip())

    def _give(self, text: str | None) -> None:
        self.close()
        self.post_message(self.Given(text))
