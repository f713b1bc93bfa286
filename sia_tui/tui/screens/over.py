"""What is laid over the window: a box in its middle, or a sheet that covers it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Self

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding
from textual.color import Color
from textual.content import Content
from textual.css.styles import RulesMap
from textual.geometry import Region, Size
from textual.renderables.background_screen import BackgroundScreen
from textual.screen import ModalScreen, ScreenResultType
from textual.strip import Strip
from textual.style import Style as ContentStyle
from textual.visual import RenderOptions, Visual
from textual.widget import Widget
from textual.widgets import Input, Select

from sia_tui.core.text import one_line
from sia_tui.tui.keymap import shown_key
from sia_tui.tui.widgets.lines import Lines

DIM_S = 0.05
"""After a dialogue is there, the window below it grows dim."""


class Over(ModalScreen[ScreenResultType]):
    """What it shows stands in one child of the class `box` or `sheet`, its keys on that one's border: a click on one does what
    the key does, a click outside what Esc does, unless something was typed or chosen that would be lost."""

    enters: str = ""
    """What Enter does with the row or the text that has the focus."""

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

    _below: tuple[tuple[object, ...], list[Strip]] = ((), [])
    """What lies below, as it is shown, and of what it was made."""
    _dim = False
    """Whether what lies below has grown dim."""
    _alone = False
    """While nothing but its child is painted."""
    _blank: Sequence[object] = ()
    """What stood in its fields before anybody typed."""

    def _compositor_refresh(self) -> None:
        """What was asked for comes first, alone. All the rest of the window would take as long again, and is another as soon
        as it has lost the focus: it grows dim a moment later, once."""
        if self._dim or not self.is_current or not (shown := self.query(".box")):
            super()._compositor_refresh()
            return
        self._compositor._dirty_regions = {shown.first().region}
        self._alone = True
        super()._compositor_refresh()
        self._alone = False
        self._set_dirty()

    def on_mount(self) -> None:
        self._blank = self._written
        self._show_keys()
        self.set_timer(DIM_S, self._grow_dim)

    def refresh_bindings(self) -> None:
        super().refresh_bindings()
        if self.is_mounted and self.is_current:
            self._show_keys()

    def says(self, binding: Binding) -> str:
        """What a key does, in a few words."""
        return binding.description

    def _show_keys(self) -> None:
        keys = self._keys()
        for box in self.query(".box, .sheet"):
            if keys != box._border_subtitle:
                box.border_subtitle = keys

    def _keys(self) -> Content:
        """As they are bound now, those of a group together."""
        found: dict[str, Binding] = {}
        for active in self.active_bindings.values():
            if active.node is self and active.binding.show and active.enabled:
                found.setdefault(active.binding.action, active.binding)
        shown = [self._entered()] if self.enters else []
        for group, bindings in groupby(found.values(), lambda binding: binding.group or binding):
            keys = [(self.app.get_key_display(one), one.action) for one in bindings]
            said = self.says(group) if isinstance(group, Binding) else group.description
            shown.append(Content.assemble(*(_clickable(*key) for key in keys), _clickable(said, keys[-1][1], "")))
        return Content("  ").join(shown)

    def _entered(self) -> Content:
        part = self._entered_part
        key = shown_key(part, "lines.choose") if isinstance(part, Lines) else "enter"
        return Content.assemble(_clickable(key, "enter"), _clickable(self.enters, "enter", ""))

    @property
    def _entered_part(self) -> Widget:
        return self.query("Lines, Input").first()

    def action_enter(self) -> None:
        part = self._entered_part
        # As its own doing: what it says because of a click on its frame would be taken for the frame's, and go no further.
        part.call_later(part.run_action, "submit" if isinstance(part, Input) else "choose")

    async def on_click(self, event: events.Click) -> None:
        """Outside of its box."""
        if self.get_widget_at(event.screen_x, event.screen_y)[0] is not self:
            return
        [leaves] = (type(self)._merged_bindings or self._bindings).key_to_bindings["escape"]
        if self._written == self._blank:
            await self.run_action(leaves.action)
        else:
            self.notify(f"what you typed stays; {shown_key(self, leaves.id or '')} leaves it", markup=False)

    @property
    def _written(self) -> Sequence[object]:
        inputs, choices = self.query(Input), self.query(Select)
        return [*(one.value for one in inputs), *(one.value for one in choices)]

    def _grow_dim(self) -> None:
        self._dim = True
        self.refresh()

    def render_line(self, y: int) -> Strip:
        return Strip.blank(self.size.width, self.visual_style.rich_style) if self._alone else super().render_line(y)

    def refresh(self, *regions: Region, **how: Any) -> Self:
        if regions:
            # So Textual says that what lies below is another.
            self._below = (), []
        return super().refresh(*regions, **how)

    def render(self) -> Any:
        """Textual's own, but for what lies below: it is drawn anew only when it is another, which is what opening costs."""
        found = super().render()
        return _Below(self, found) if isinstance(found, BackgroundScreen) else found

    def below(self, found: BackgroundScreen, width: int, height: int, style: Style) -> list[Strip]:
        made_of = (found.screen, found.color, found.screen.size, width, height, style)
        if made_of != self._below[0]:
            lines = found.screen._compositor.render_strips(Size(width, height))
            self._below = made_of, [_dimmed(line, found.color, style).adjust_cell_length(width) for line in lines]
        return self._below[1]


def _clickable(text: str, action: str, look: str = "bold reverse") -> Content:
    done = ContentStyle.from_meta({"@click": action if "." in action else f"screen.{action}"})
    return (
        Content(f" {one_line('enter' if text == '⏎' else text, 40)}{' ' if look else ''}").stylize(look).stylize(done)
    )


class _Below(Visual):
    """Strips as the compositor has them: Textual would have Rich take them apart and put them together again."""

    def __init__(self, over: Over[Any], found: BackgroundScreen) -> None:
        self._over, self._found = over, found

    def render_strips(self, width: int, height: int | None, style: ContentStyle, options: RenderOptions) -> list[Strip]:
        return self._over.below(self._found, width, height or self._found.screen.size.height, style.rich_style)

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        return container_width

    def get_height(self, rules: RulesMap, width: int) -> int:
        return self._found.screen.size.height


def _dimmed(strip: Strip, color: Color, base: Style) -> Strip:
    return Strip([Segment(text, _tinted(style or Style(), color, base)) for text, style, _ in strip], strip.cell_length)


@lru_cache(maxsize=4096)
def _tinted(style: Style, color: Color, base: Style) -> Style:
    """As Textual does it, without what a click would do."""
    [(_, found, _)] = BackgroundScreen.process_segments([Segment("", style)], color)
    return base + found
