"""The foot of the gate: the keys that decide, to be clicked as well, and what became of the last one."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from sia_tui.core.text import one_line
from sia_tui.tui.pieces import WARN
from sia_tui.tui.verdicts import SETTLE_S, UNDO_S

_KEYS = {"approve": "a", "reject": "r", "defer": "d", "take_back": "z"}
_SAID = {"approve": "approve", "reject": "reject…", "defer": "defer", "take_back": "take back"}
_RULE = f"Enter never approves · keys of the first {SETTLE_S:g} s dropped · z: {UNDO_S:g} s to take back"


class VerdictBar(Static):
    """Two lines: what was said, and what can be said."""

    DEFAULT_CSS = "VerdictBar { height: 2; padding: 0 1; color: $text-muted; }"

    @dataclass
    class Pressed(Message):
        """One of the keys was clicked: `approve`, `reject`, `defer` or `take_back`."""

        what: str

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rest = ""

    def on_mount(self) -> None:
        self.say("")

    def rest(self, told: str) -> None:
        """Say this from now on while there is nothing else to say: what the keys would do now."""
        self._rest = told
        self.say("")

    def say(self, told: str, loud: bool = False) -> None:
        """`told` on one line; the rules of the gate while there is nothing to say."""
        told = one_line(told or self._rest, max(20, self.size.width - 2)) if told or self._rest else ""
        style = f"bold reverse {WARN}" if loud else WARN
        first = Content.assemble((told, style)) if told else Content(_RULE)
        self.update(Content("\n").join([first, _keys()]))

    def action_press(self, what: str) -> None:
        self.post_message(self.Pressed(what))


def _keys() -> Content:
    keys = [
        Content.from_markup(f"[@click=press('{what}')][bold reverse] {key} [/][$text] {_SAID[what]}[/][/]")
        for what, key in _KEYS.items()
    ]
    return Content("    ").join(keys)
