"""The foot of the gate: the keys that decide, to be clicked as well, and what became of the last one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from sia_tui.core.text import one_line
from sia_tui.tui import verdicts
from sia_tui.tui.keymap import shown_key
from sia_tui.tui.pieces import WARN

_SAID = {
    "approve": ("approve", "approve"),
    "reject": ("reject…", "reject…"),
    "other_lever": ("other lever…", "lever…"),
    "more_evidence": ("more evidence", "more"),
    "until": ("until…", "until…"),
    "defer": ("defer", "defer"),
    "take_back": ("take back", "back"),
}
"""What an action is called where there is room, and where there is not."""
ROOMY, AIRY = 96, 110
"""From so many cells on actions have their long names, and room between them."""
_RULE = "Enter never approves · keys of the first {settle:g} s dropped · {key}: {undo:g} s to take back"


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
        self._instead: tuple[str, ...] = ()
        self._loud = False

    def on_mount(self) -> None:
        self.say("")

    def on_resize(self) -> None:
        self.say(self._told, self._loud)

    def rest(self, told: str) -> None:
        """Say this from now on while there is nothing else to say: what the keys would do now."""
        self._rest = told
        self.say("")

    def instead(self, *told: str) -> None:
        """Say these two lines in place of the keys: there is nothing to decide."""
        if told != self._instead:
            self._instead = told
            self.say("")

    def say(self, told: str, loud: bool = False) -> None:
        """`told` on one line; the rules of the gate while there is nothing to say."""
        if told and self.screen.maximized is not None:
            self.screen.minimize()
        self._told, self._loud = told, loud
        room = max(20, self.size.width - 2)
        if self._instead:
            where, *more = (one_line(line, room) for line in self._instead)
            self.update(Content("\n").join([Content.styled(where, WARN), *map(Content, more)]))
            return
        told = one_line(told or self._rest, room) if told or self._rest else ""
        style = f"bold reverse {WARN}" if loud else WARN
        keys = {what: shown_key(self, f"gate.{what.replace('_', '-')}") for what in _SAID}
        rule = _RULE.format(settle=verdicts.SETTLE_S, undo=verdicts.UNDO_S, key=keys["take_back"])
        first = Content.assemble((told, style)) if told else Content(rule)
        self.update(Content("\n").join([first, _drawn(keys, self.size.width)]))

    def action_press(self, what: str) -> None:
        self.post_message(self.Pressed(what))


def _drawn(keys: Mapping[str, str], width: int) -> Content:
    drawn = [
        Content.from_markup(
            f"[@click=press('{what}')][bold reverse] $key [/][$text] $said[/][/]",
            key=keys[what],
            said=long if width >= ROOMY else short,
        )
        for what, (long, short) in _SAID.items()
    ]
    return Content("   " if width >= AIRY else " ").join(drawn)
