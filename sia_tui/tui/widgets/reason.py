"""One line for the reason of a no."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from sia_tui.tui.keymap import shown_key
from sia_tui.tui.widgets.asking import Asking


class Reason(Asking):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "say it", key_display="enter"),
        Binding("escape", "cancel", "cancel"),
    ]

    about = ""
    """Hash of what was on the screen when the line was opened."""

    def open(self, about: str, does: str) -> None:
        """`does` says what Enter will."""
        gives, cancels = shown_key(self, "reason.submit"), shown_key(self, "reason.cancel")
        self.about = about
        self.ask(f"why not? (optional) {gives} {does}; {cancels} cancels")
