"""The last line: the keys of where you are."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Footer
from textual.widgets._footer import FooterKey


class Keys(Footer):
    """Where not all of them fit, the one that lists them all keeps its place at the right."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)

    def compose(self) -> ComposeResult:
        for key in super().compose():
            key.set_class(isinstance(key, FooterKey) and key.action == "help", "-help")
            yield key
