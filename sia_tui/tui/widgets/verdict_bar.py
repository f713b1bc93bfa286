"""The foot of the gate: the keys that decide, to be clicked as well, and what became of the last one."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from sia_tui.core.text import one_line
from sia_tui.tui.pieces import WARN
from sia_tui.tui.verdicts import SETTLE_S, UNDO_S

_KEYS = {
    "approve": ("a", "approve", "approve"),
    "reject": ("r", "reject…", "reject…"),
    "other_lever": ("l", "other lever…", "lever…"),
    "more_evidence": ("m", "more evidence", "more"),
    "until": ("u", "until…", "until…"),
    "defer": ("d", "defer", "defer"),
    "take_back": ("z", "take back", "back"),
}
"""Key, what it is called where there is room, and where there is not."""
ROOMY = 100
_RULE = f"Enter never approves · keys of the first {SETTLE_S:g} s dropped · z: {UNDO_S:g} s to take back"


class VerdictBar(Static):
    """Two lines: what was said, and what can be said."""

    DEFAULT_CSS = "VerdictBar { height: 2; padding: 0 1; color: $text-muted; }"

    @dataclass
    class Pressed(Message):
        """One of the keys was clicked, by its action."""

        what: str

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rest = self._told = ""
        self._loud = False

    def on_mount(self) -> None:
        self.say("")

    def on_resize(self) -> None:
        self.say(self._told, self._loud)

    def rest(self, told: str) -> None:
        """Say this from now on while there is nothing else to say: what the keys would do now."""
        self._rest = told
        self.say("")

    def say(self, told: str, loud: bool = False) -> None:
        """`told` on one line; the rules of the gate while there is nothing to say."""
        self._told, self._loud = told, loud
        told = one_line(told or self._rest, max(20, self.size.width - 2)) if told or self._rest else ""
        style = f"bold reverse {WARN}" if loud else WARN
        first = Content.assemble((told, style)) if told else Content(_RULE)
        self.update(Content("\n").join([first, _keys(self.size.width >= ROOMY)]))

    def action_press(self, what: str) -> None:
        self.post_message(self.Pressed(what))


def _keys(wide: bool) -> Content:
    keys = [
        Content.from_markup(f"[@click=press('{what}')][bold reverse] {key} [/][$text] {long if wide else short}[/][/]")
        for what, (key, long, short) in _KEYS.items()
    ]
    return Content("   " if wide else " ").join(keys)
