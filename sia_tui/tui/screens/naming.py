"""One line to be typed: the name of something new. Enter on nothing leaves everything as it is."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from sia_tui.core.text import clean, one_line
from sia_tui.tui.screens.over import Over


class Naming(Over[str | None]):
    """Ends with what was typed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "cancel")]
    enters = "name it"

    def __init__(self, said: str, suggested: str) -> None:
        super().__init__()
        self._said, self._suggested = said, suggested

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(clean(self._said), markup=False)
            yield Input(one_line(self._suggested), id="name", compact=True, select_on_focus=False)

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip() or None)
