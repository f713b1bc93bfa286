"""The second line: the panes by the keys that show them, clickable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from sia_tui.tui.keymap import shown_key
from sia_tui.tui.pieces import cells


class Tabs(Static):
    """Names in a row; the one on show is reversed, one that waits for the person has a mark."""

    DEFAULT_CSS = """
    Tabs { height: 1; background: $surface; text-wrap: nowrap; pointer: pointer; }
    """

    @dataclass
    class Picked(Message):
        """A click on a name."""

        name: str

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(markup=False)
        self._names = names
        self._said: tuple[str, str | None] | None = None
        self._spots: list[tuple[int, str]] = []

    def show(self, here: str, waiting: str | None) -> None:
        """`waiting` names the pane that a person is asked to look at."""
        if (here, waiting) == self._said:
            return
        self._said = here, waiting
        pieces: list[tuple[str, str]] = []
        self._spots, x = [], 0
        for name in self._names:
            label = f" {shown_key(self, f'app.{name}')} {name}{' ▲' if name == waiting else ''} "
            style = "bold reverse" if name == here else "bold $text-warning" if name == waiting else "$foreground-muted"
            pieces += [(label, style), (" ", "")]
            x += cells(label) + 1
            self._spots.append((x, name))
        self.update(Content.assemble(*pieces), layout=False)

    def on_click(self, event: events.Click) -> None:
        name = next((name for end, name in self._spots if event.x < end), None)
        if name is not None:
            self.post_message(self.Picked(name))
