"""The second line: the panes by number, clickable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static


class Tabs(Static):
    """Names in a row; the one on show is reversed, one that waits for the person has a mark."""

    DEFAULT_CSS = """
    Tabs { height: 1; background: $surface; text-wrap: nowrap; pointer: pointer; }
    """

    @dataclass
    class Picked(Message):
        """A click on a name."""

        name: str

    def __init__(self, names: Mapping[int, str]) -> None:
        """Names by the number that shows them."""
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
        for number, name in self._names.items():
            label = f" {number} {name}{' ▲' if name == waiting else ''} "
            style = "bold reverse" if name == here else "bold $text-warning" if name == waiting else "$foreground-muted"
            pieces += [(label, style), (" ", "")]
            x += len(label) + 1
            self._spots.append((x, name))
        self.update(Content.assemble(*pieces), layout=False)

    def on_click(self, event: events.Click) -> None:
        name = next((name for end, name in self._spots if event.x < end), None)
        if name is not None:
            self.post_message(self.Picked(name))
