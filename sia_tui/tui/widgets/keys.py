"""The last line: the keys of where you are."""

from __future__ import annotations

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Footer
from textual.widgets._footer import FooterKey, FooterLabel

_AROUND = 3
"""Blank cells of a key and what it does."""


class Keys(Footer):
    """Where not all of them fit, whole ones are left out; the one that lists them all keeps its place at the right."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)

    def compose(self) -> ComposeResult:
        for key in super().compose():
            key.set_class(isinstance(key, FooterKey) and key.action == "help", "-help")
            yield key
        self.call_after_refresh(self._fit)

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        room = self.size.width - sum(_width(key) for key in self.children if key.has_class("-help"))
        for key in self.children:
            if not key.has_class("-help"):
                room -= _width(key)
                key.display = room >= 0


def _width(part: Widget) -> int:
    """Of a key, what a group of keys does, or such a group."""
    if isinstance(part, FooterKey):
        return cell_len(part.key_display) + cell_len(part.description) + _AROUND
    if isinstance(part, FooterLabel):
        return cell_len(str(part.content)) + 1
    return sum(cell_len(key.key_display) for key in part.query(FooterKey)) + 2
