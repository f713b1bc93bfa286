"""One line for a text to go to in what is read."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from sia_tui.tui.keymap import shown_key
from sia_tui.tui.widgets.asking import Asking


class Seeking(Asking):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "go to it", key_display="enter"),
        Binding("escape", "cancel", "cancel"),
    ]

    def open(self) -> None:
        goes, cancels = shown_key(self, "seeking.submit"), shown_key(self, "seeking.cancel")
        self.ask(f"text in this trajectory: {goes} goes to it, or without any unmarks; {cancels} cancels")
