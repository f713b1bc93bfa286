"""One line for a text that is asked for. Enter gives it, Esc leaves everything as it was."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.message import Message
from textual.widgets import Input


class Asking(Input):
    """Out of sight until it is opened."""

    DEFAULT_CSS = "Asking { display: none; }"

    @dataclass
    class Given(Message):
        """The text; None: nothing was said."""

        text: str | None

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, disabled=True)

    def ask(self, placeholder: str) -> None:
        self.placeholder, self.value = placeholder, ""
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
