"""A question to whoever leaves while the engine waits for them."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from sia_tui.core.text import one_line
from sia_tui.tui.screens.over import Over
from sia_tui.tui.view import View

Parting = Literal["leave", "until"]


class Leaving(Over[Parting]):
    """Dismissed with nothing, the person stays. No key here decides about the gate: `u` opens the form that asks for limits."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "dismiss('until')", "a standing yes…", tooltip="approve within limits: asks for them, and stays"),
        Binding("q", "dismiss('leave')", "leave", tooltip="leave; the engine waits"),
        Binding("escape", "dismiss(None)", "stay"),
    ]

    def __init__(self, view: View) -> None:
        super().__init__()
        gate = view.state.waiting
        self._said = (
            f"{one_line(view.run, 40)} waits at {one_line(gate.id, 60) if gate else 'a gate'}, and goes on waiting."
        )

    def compose(self) -> ComposeResult:
        with Vertical(classes="box -asks") as box:
            box.border_title = "leave?"
            yield Static(f"{self._said} A standing yes is to this one and what follows, within limits.", markup=False)
