"""The list that everything long is shown in."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.content import Content

from sia_tui.tui.pieces import wrap
from sia_tui.tui.widgets.lines import Lines


class Page(App[None]):
    def __init__(self, follow: bool = False) -> None:
        super().__init__()
        self.lines = Lines(follow=follow, empty="nothing here")
        self.asked: list[int] = []
        self.chosen: list[int] = []

    def compose(self) -> ComposeResult:
        yield self.lines

    def on_lines_chosen(self, event: Lines.Chosen) -> None:
        self.chosen.append(event.row)

    def show(self, count: int, first: int = 0) -> None:
        def row(index: int, width: int) -> Content:
            self.asked.append(index)
            return Content(f"row {first + index}")

        self.lines.show_rows(count, row, first)


async def test_only_what_is_in_sight_is_asked_for() -> None:
    app = Page()
    async with app.run_test(size=(30, 10)) as pilot:
        app.show(1_000_000)
        await pilot.pause()
        assert set(app.asked) == set(range(10))


async def test_keys_move_the_cursor_and_enter_chooses() -> None:
    app = Page()
    async with app.run_test(size=(30, 10)) as pilot:
        app.lines.focus()
        app.show(100)
        await pilot.press(
            "j", "j", "k", "down", "ctrl+d", "enter", "G", "enter", "g", "enter", "pagedown", "up", "enter"
        )
        await pilot.pause()
        assert app.chosen == [6, 99, 0, 8]


async def test_following_stays_with_the_newest_until_the_person_moves() -> None:
    app = Page(follow=True)
    async with app.run_test(size=(30, 10)) as pilot:
        app.lines.focus()
        app.show(50)
        app.show(60)
        await pilot.pause()
        assert (app.lines.cursor, app.lines.scroll_offset.y) == (59, 50)
        await pilot.press("k")
        app.show(70)
        await pilot.pause()
        assert (app.lines.cursor, app.lines.follow, app.lines.scroll_offset.y) == (58, False, 50)
        await pilot.press("f")
        assert app.lines.cursor == 69


async def test_a_window_that_slides_keeps_what_was_in_sight() -> None:
    app = Page()
    async with app.run_test(size=(30, 10)) as pilot:
        app.lines.focus()
        app.show(50, first=0)
        app.lines.go(30)
        await pilot.pause()
        before = app.lines.render_line(5).text
        app.show(50, first=7)
        await pilot.pause()
        assert app.lines.cursor == 23 and app.lines.render_line(5).text == before


async def test_text_that_is_broken_anew_keeps_its_place_and_there_and_back_is_no_way() -> None:
    words = [f"w{number}" for number in range(900)]
    text = [" ".join(words[at : at + 90]) for at in range(0, 900, 90)]
    app = Page()
    app.lines.has_cursor = False

    def wrapped(width: int) -> list[Content]:
        return [Content(row) for part in text for row in [*wrap(part, width), ""]]

    async with app.run_test(size=(70, 10)) as pilot:
        app.lines.show_list(wrapped(70))
        app.lines.scroll_to(y=33, animate=False, immediate=True, force=True)
        await pilot.pause()
        first = wrapped(70)[33].plain.split()[0]
        for width in (30, 23, 50, 70):
            app.lines.rewrap(wrapped(width))
            assert first in wrapped(width)[round(app.lines.scroll_y)].plain.split(), width
        assert app.lines.scroll_y == 33


async def test_mouse_wheel_and_clicks() -> None:
    app = Page(follow=True)
    async with app.run_test(size=(30, 10)) as pilot:
        app.show(50)
        await pilot.click(Lines, offset=(4, 3))
        assert app.lines.cursor == 43 and not app.lines.follow
        await pilot.click(Lines, offset=(4, 2), times=2)
        assert app.chosen == [42]


async def test_nothing_to_show_says_so_and_any_size_holds() -> None:
    app = Page()
    async with app.run_test(size=(30, 10)) as pilot:
        app.show(0)
        await pilot.press("j", "enter", "G")
        await pilot.pause()
        assert app.lines.render_line(0).text.strip() == "nothing here" and app.chosen == []
        for size in ((1, 1), (500, 200), (3, 40)):
            app.show(5)
            await pilot.resize_terminal(*size)
            await pilot.pause()


async def test_as_high_as_its_rows_it_has_no_empty_one() -> None:
    app = Page()
    async with app.run_test(size=(30, 10)) as pilot:
        app.lines.styles.height = "auto"
        app.show(3)
        await pilot.pause()
        assert app.lines.size.height == 3
        app.show(0)
        await pilot.pause()
        assert app.lines.size.height == 1 and app.lines.render_line(0).text.startswith("nothing here")
