"""The last line: the keys of where you are."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer
from textual.widgets._footer import FooterKey, FooterLabel

LAST = ("leave", "command_palette", "help")
"""The way out, and to the list of them all, as they stand at the right."""
_AROUND = 3
"""Blank cells of a key and what it does."""


class Keys(Footer):
    """Where not all of them fit, whole ones are left out; those that lead out, or to them all, keep their places at the right."""

    _made_of: tuple[object, ...] = ()
    """The bindings whose keys are shown."""
    _due = False
    """Whether they are to be made anew already."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)

    def compose(self) -> ComposeResult:
        self._made_of = self._bound if self._bindings_ready else ()
        for key in super().compose():
            # Textual's footer would go on telling each of its keys how compact it is, long after they were taken off.
            key._reactive_connect = None
            if isinstance(key, FooterKey):
                key.set_reactive(FooterKey.compact, self.compact)
            key.set_class(isinstance(key, FooterKey) and key.action in LAST, "-last")
            yield key
        self.call_after_refresh(self._fit)

    def bindings_changed(self, screen: Screen[Any]) -> None:
        """Of a window without the focus Textual leaves the keys as they are; in one that never had it there would be none.
        Under a dialogue no key of the pane's does anything, and all of them are back when it is closed: making them anew both
        times would paint the window four times more."""
        if self.children and not (screen.app.app_focus and screen.is_current):
            return
        self._bindings_ready = True
        if not self._due and self.is_attached and screen is self.screen and self._made_of != self._bound:
            # What has the focus changes more than once on the way to another pane.
            self._due = True
            self.call_after_refresh(self._make)

    async def _make(self) -> None:
        """What changes while the old ones go is in the new ones: they are of the moment at which they come."""
        await self.recompose()
        self._due = False
        if self.is_attached:
            self.bindings_changed(self.screen)

    @property
    def _bound(self) -> tuple[object, ...]:
        active = self.screen.active_bindings.values()
        return tuple((one.binding, one.enabled, one.tooltip) for one in active if one.binding.show)

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        taken = 0
        last = {key.action: key for key in self.query_children(FooterKey) if key.has_class("-last")}
        for action in reversed([action for action in LAST if action in last]):
            last[action].styles.margin = (0, taken, 0, 0)
            taken += _width(last[action])
        room = self.size.width - taken
        for key in self.children:
            if not key.has_class("-last"):
                room -= _width(key)
                key.display = room >= 0


def _width(part: Widget) -> int:
    """Of a key, what a group of keys does, or such a group."""
    if isinstance(part, FooterKey):
        return cell_len(part.key_display) + cell_len(part.description) + _AROUND
    if isinstance(part, FooterLabel):
        return cell_len(str(part.content)) + 1
    return sum(cell_len(key.key_display) for key in part.query(FooterKey)) + 2
