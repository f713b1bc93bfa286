"""What lies under every dialogue."""

from __future__ import annotations

from textual import events
from textual.screen import Screen

from sia_tui.tui.window import window


class Main(Screen[None]):
    """The part in the focus is never one of a pane out of sight, nor one behind a part that was maximised."""

    AUTO_FOCUS = ""

    def on_screen_resume(self) -> None:
        self.app.call_later(window(self).fill_pane)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if self.maximized is not None and self.maximized not in event.widget.ancestors_with_self:
            self.minimize()
