"""What is laid over the window: a box in its middle, or a sheet that covers it."""

from __future__ import annotations

from textual.screen import ModalScreen, ScreenResultType


class Over(ModalScreen[ScreenResultType]):
    """What it shows stands in one child of the class `box` or `sheet`."""

    DEFAULT_CSS = """
    Over {
        align: center middle;
        & > .box, & > .sheet { max-width: 100%; max-height: 100%; border: round $primary; padding: 0 1; background: $surface; }
        & > .box { width: 72; height: auto; }
        & > .box.-wide { width: 96; }
        & > .box.-asks { border: round $warning; }
        & > .sheet { width: 100%; height: 100%; }
    }
    """
