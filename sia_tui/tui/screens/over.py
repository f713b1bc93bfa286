"""What is laid over the window: a box in its middle, or a sheet that covers it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Self

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.geometry import Region
from textual.renderables.background_screen import BackgroundScreen
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

    _below: tuple[tuple[object, ...], list[Segment]] = ((), [])
    """What lies below, as it is shown, and of what it was made."""

    def refresh(self, *regions: Region, **how: Any) -> Self:
        if regions:
            # So Textual says that what lies below is another.
            self._below = (), []
        return super().refresh(*regions, **how)

    def render(self) -> RenderableType:
        """Textual's own, but for what lies below: it is drawn anew only when it is another, which is what opening costs."""
        found = super().render()
        return _Dimmed(self, found) if isinstance(found, BackgroundScreen) else found

    def below(self, found: BackgroundScreen, console: Console, options: ConsoleOptions) -> list[Segment]:
        made_of = (found.screen, found.color, found.screen.size, options.size)
        if made_of != self._below[0]:
            lines = console.render(found.screen._compositor, options)
            self._below = made_of, list(_dimmed(lines, found.color))
        return self._below[1]


class _Dimmed:
    def __init__(self, over: Over[Any], found: BackgroundScreen) -> None:
        self._over, self._found = over, found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        yield from self._over.below(self._found, console, options)


def _dimmed(segments: Iterable[Segment], color: Color) -> Iterator[Segment]:
    for text, style, control in segments:
        yield Segment(text, style if control else _tinted(style or Style(), color), control)


@lru_cache(maxsize=4096)
def _tinted(style: Style, color: Color) -> Style:
    """As Textual does it, without what a click would do."""
    [(_, found, _)] = BackgroundScreen.process_segments([Segment("", style)], color)
    return found or Style()
