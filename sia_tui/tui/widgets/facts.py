"""Text in little room: it is wrapped, and what is out of sight is counted and can be scrolled to."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.content import Content

from sia_tui.tui.pieces import Line
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content


class Facts(Lines):
    """As high as its text, up to a part of what it stands in; its border above says how many lines are below."""

    DEFAULT_CSS = """
    Facts {
        height: auto; max-height: 30%; padding: 0 1;
        border-top: solid $panel-lighten-2; border-title-color: $warning;
        &:focus { border-top: solid $accent; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, has_cursor=False)
        self._told: Sequence[Line] = ()

    def tell(self, told: Sequence[Line]) -> None:
        if told != self._told:
            self._told = told
            self._lay()

    def on_resize(self, event: events.Resize) -> None:
        self._lay()
        super().on_resize(event)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._count()

    def watch_has_focus(self, focused: bool) -> None:
        super().watch_has_focus(focused)
        self._count()

    def _lay(self) -> None:
        width = max(1, self.room)
        self.rewrap([row for one in self._told for row in content(one).wrap(width) or [Content("")]])
        self.call_after_refresh(self._count)

    def _count(self) -> None:
        below = self.count - round(self.scroll_y) - self.size.height
        how = "↓" if self.has_focus else "tab, ↓"
        self.border_title = f"{below} more line{'s' * (below > 1)}: {how}" if below > 0 else None
