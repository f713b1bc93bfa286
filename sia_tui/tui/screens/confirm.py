"""A question before something that cannot be taken back. Enter alone never says yes."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from sia_tui.core.text import clean
from sia_tui.tui.screens.over import Over


class Confirm(Over[bool]):
    """`y` says yes; where `word` is given, that has to be typed out."""

    DEFAULT_CSS = """
    Confirm {
        & #typed { margin-top: 1; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "yes"),
        Binding("escape,n", "dismiss(False)", "no"),
    ]

    def __init__(self, said: str, word: str = "") -> None:
        super().__init__()
        self._said, self._word = said, word
        self.enters = "yes" if word else ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="box -asks"):
            yield Static(clean(self._said), markup=False)
            if self._word:
                yield Static(clean(f"Type its name, {self._word}:"), markup=False)
                yield Input(id="typed", compact=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "yes" or not self._word

    def action_yes(self) -> None:
        self.dismiss(True)

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        if event.value.strip() == self._word:
            self.dismiss(True)
        else:
            self.notify("that is not its name; nothing was done", severity="warning", markup=False)
