"""A question to whoever leaves while engines go on that will ask them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from sia_tui.core.text import one_line
from sia_tui.tui.screens.over import Over
from sia_tui.tui.view import View

Parting = Literal["leave", "until"]
MOST = 5
"""Runs that are named."""


class Leaving(Over[Parting]):
    """Dismissed with nothing, the person stays. No key here decides about a gate: `u` opens the form that asks for limits, for
    the first of the runs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "dismiss('until')", "a standing yes…", tooltip="approve within limits: asks for them, and stays"),
        Binding("q", "dismiss('leave')", "leave", tooltip="leave; the engine goes on, and waits at its gates"),
        Binding("escape", "dismiss(None)", "stay"),
    ]

    def __init__(self, views: Sequence[View]) -> None:
        super().__init__()
        self._views = views

    def compose(self) -> ComposeResult:
        first, more = self._views[0], len(self._views) - MOST
        said = [_told(view) for view in self._views[:MOST]] + ([f"And {more} more."] if more > 0 else [])
        to = "this one and what follows" if first.state.waiting else "what it will ask"
        where = f" of {_name(first)}" if len(self._views) > 1 else ""
        said.append(f"A standing yes is to {to}{where}, within limits.")
        with Vertical(classes="box -asks") as box:
            box.border_title = "leave?"
            yield Static("\n".join(said), markup=False)


def _told(view: View) -> str:
    gate = view.state.waiting
    if gate is None:
        return f"{_name(view)} goes on, and waits at its next gate."
    return f"{_name(view)} waits at {one_line(gate.id, 60)}, and goes on waiting."


def _name(view: View) -> str:
    return one_line(view.run, 40)
