"""A list whose newest row is the first."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from sia_tui.tui.widgets.lines import Lines


class NewestFirst(Lines):
    """`f` goes to the top, where new rows come in."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f", "top", "follow the newest row", show=False)]
