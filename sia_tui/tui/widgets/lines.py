"""A list of one-line rows that costs what is visible, however many there are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollTo
from textual.strip import Strip
from textual.visual import Visual

Row = Callable[[int, int], Content]
"""The row with this index, to be shown in so many cells; text of others is cleaned by whoever makes it."""

_MARK = "▌"


class Lines(ScrollView, can_focus=True):
    """Rows with a cursor. Give it a list (`show_list`) or a count and a function (`show_rows`)."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"lines--cursor", "lines--empty"}

    DEFAULT_CSS = """
    Lines {
        height: 1fr;
        min-height: 1;
        scrollbar-size: 0 1;
        scrollbar-gutter: stable;
        overflow-x: hidden;
        text-wrap: nowrap;
        text-overflow: ellipsis;
        & > .lines--cursor { background: $block-cursor-blurred-background; }
        &:focus > .lines--cursor { background: $primary 40%; text-style: bold; }
        & > .lines--empty { color: $text-muted; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "down", show=False),
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("pagedown", "page(1)", "a page down", show=False),
        Binding("pageup", "page(-1)", "a page up", show=False),
        Binding("ctrl+d", "page(0.5)", "half a page down", show=False),
        Binding("ctrl+u", "page(-0.5)", "half a page up", show=False),
        Binding("home,g", "top", "first row", show=False),
        Binding("end,G", "bottom", "last row", show=False),
        Binding("f", "follow", "follow the newest row", show=False),
        Binding("enter", "choose", "open the row", show=False),
    ]

    follow: reactive[bool] = reactive(False, init=False)
    """Whether the newest row stays in sight."""
    cursor: reactive[int] = reactive(0, init=False)

    @dataclass
    class Moved(Message):
        """The person moved the cursor."""

        lines: Lines
        row: int

        @property
        def control(self) -> Lines:
            return self.lines

    @dataclass
    class Chosen(Message):
        """Enter or a double click on a row."""

        lines: Lines
        row: int

        @property
        def control(self) -> Lines:
            return self.lines

    def __init__(
        self,
        *,
        has_cursor: bool = True,
        follow: bool = False,
        empty: str = "",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`empty` is said while there is no row."""
        super().__init__(id=id, classes=classes)
        self.has_cursor = has_cursor
        self.empty = empty
        self.count = 0
        self._first = 0
        self._wide = 0
        self._row: Row = lambda index, width: Content("")
        self._strips: dict[int, Strip] = {}
        self.set_reactive(Lines.follow, follow)
        self._height = 0
        self._text: Sequence[Content] = ()
        self._counted: list[int] | None = None
        self._places = [0, 0]
        self._rewrapped: tuple[int, int] | None = None
        """Top and cursor as the last rewrapping left them, and which places of the text they are."""

    def show_list(self, rows: Sequence[Content], first: int = 0, wide: int = 0) -> None:
        """Show these rows; see `show_rows`."""
        self._text, self._counted, self._rewrapped = rows, None, None
        self.show_rows(len(rows), self._of_text, first, wide)

    def rewrap(self, rows: Sequence[Content]) -> None:
        """Show the text that is shown in other lines, with what stood at the top, and at the cursor, still there. Wherever
        a line breaks, only spaces come or go: a place in the text is how many other characters are before it."""
        if (here := (round(self.scroll_y), self.cursor)) != self._rewrapped:
            # Counted where a person went, not where a line happened to break: there and back is no way.
            starts = self._starts
            self._places = [starts[min(row, len(starts) - 1)] for row in here]
        self.show_list(rows)
        top, cursor = (bisect_right(self._starts[:-1] or [0], place) - 1 for place in self._places)
        self.set_reactive(Lines.cursor, cursor)
        self._scroll(top)
        self._rewrapped = (round(self.scroll_y), self.cursor)

    @property
    def _starts(self) -> list[int]:
        """How many characters other than spaces stand before each row of the text, and before its end."""
        if self._counted is None:
            self._counted = [0, *accumulate(len("".join(row.plain.split())) for row in self._text)]
        return self._counted

    def _of_text(self, index: int, width: int) -> Content:
        return self._text[index]

    def show_rows(self, count: int, row: Row, first: int = 0, wide: int = 0) -> None:
        """Show `count` rows, each asked for when it comes into sight.

        `first` numbers the first row of a window that slides, so that cursor and view stay with what they show; rows
        of up to `wide` cells can be scrolled sideways.
        """
        slid, self._first = first - self._first, first
        self.count, self._row, self._wide = count, row, wide
        self._strips.clear()
        self._fit()
        if self.follow:
            self.set_reactive(Lines.cursor, max(0, count - 1))
            self._scroll(self.max_scroll_y)
        elif slid:
            self._scroll(self.scroll_y - slid)
        if not self.follow:
            self.set_reactive(Lines.cursor, max(0, min(self.cursor - slid, count - 1)))
        self.refresh()

    def go(self, row: int) -> None:
        """Put the cursor on a row and bring it into sight, as if nobody had asked."""
        self.cursor = max(0, min(row, self.count - 1))
        self._reveal()

    @property
    def room(self) -> int:
        """Cells of a row: the scrollbar has its own column, whether it shows or not."""
        return self.scrollable_content_region.width

    def render_line(self, y: int) -> Strip:
        x, top = self.scroll_offset
        index, width = top + y, self.room
        if not width:
            return Strip([])
        if index >= self.count:
            said = Content(self.empty if y == 0 and not self.count else "")
            return self._strip(said, width, "lines--empty")
        strip = self._strips.get(index)
        if strip is None:
            strip = self._strips[index] = self._rendered(index, max(width, self._wide))
        return strip.crop_extend(x, x + width, self.visual_style.rich_style)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def watch_cursor(self, old: int, new: int) -> None:
        self._strips.pop(old, None)
        self._strips.pop(new, None)
        self.refresh()

    def watch_has_focus(self, focused: bool) -> None:
        self._strips.pop(self.cursor, None)
        super().watch_has_focus(focused)

    def watch_show_vertical_scrollbar(self, shown: bool) -> None:
        if shown:
            # Of a scroll that came before the bar, nobody has told it.
            self.vertical_scrollbar.position = self.scroll_y

    def watch_follow(self, follow: bool) -> None:
        if follow:
            self.go(self.count - 1)

    def on_resize(self, event: events.Resize) -> None:
        self._strips.clear()
        self._fit()
        before, self._height = self._height, self.size.height
        if self.follow:
            self._scroll(self.max_scroll_y)
        elif self.has_cursor and before and self.cursor == self.scroll_y + before - 1:
            # A cursor at the foot stays there, with as much of what came before it as there is room for.
            self._scroll(max(0, self.cursor - self._height + 1))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.has_cursor or action not in ("choose", "follow")

    def on_click(self, event: events.Click) -> None:
        below_top = event.y - self.gutter.top
        row = self.scroll_offset.y + below_top
        if not self.has_cursor or not 0 <= below_top < self.size.height or row >= self.count:
            return
        self._user_goes(row)
        if event.chain == 2:
            self.action_choose()

    def on_mouse_scroll_up(self) -> None:
        self.follow = False

    def on_scroll_to(self, event: ScrollTo) -> None:
        self.follow = False

    def action_move(self, rows: int) -> None:
        if self.has_cursor:
            self._user_goes(self.cursor + rows)
        else:
            self.follow = False
            self._scroll(self.scroll_y + rows)

    def action_page(self, pages: float) -> None:
        self.action_move(round(pages * max(1, self.size.height - 1)))

    def action_top(self) -> None:
        self.action_move(-self.count)

    def action_bottom(self) -> None:
        self.action_move(self.count)

    def action_follow(self) -> None:
        self.follow = not self.follow

    def action_choose(self) -> None:
        if self.has_cursor and self.count:
            self.post_message(self.Chosen(self, self.cursor))

    def _user_goes(self, row: int) -> None:
        self.follow = self.follow and row >= self.count - 1
        self.go(row)
        self.post_message(self.Moved(self, self.cursor))

    def _fit(self) -> None:
        self.virtual_size = Size(max(self._wide, self.room if not self._wide else 0), self.count)

    def _reveal(self) -> None:
        top, height = self.scroll_y, max(1, self.size.height)
        if self.cursor < top:
            self._scroll(self.cursor)
        elif self.cursor >= top + height:
            self._scroll(self.cursor - height + 1)

    def _scroll(self, y: float) -> None:
        self.scroll_to(y=y, animate=False, immediate=True, force=True)

    def _rendered(self, index: int, width: int) -> Strip:
        here = self.has_cursor and index == self.cursor
        content = self._row(index, max(1, width - self.has_cursor))
        if self.has_cursor:
            content = Content.assemble((_MARK, "$accent") if here else " ", content)
        return self._strip(content, width, "lines--cursor" if here else None)

    def _strip(self, content: Content, width: int, component: str | None) -> Strip:
        style = self.get_visual_style(component) if component else self.visual_style
        strips = Visual.to_strips(self, content, width, 1, style, apply_selection=False)
        return (strips[0] if strips else Strip([])).adjust_cell_length(width, style.rich_style)
