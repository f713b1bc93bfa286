"""What lies below a dialogue is drawn once, and anew when it is another."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App, ComposeResult
from textual.screen import Screen
from textual.widgets import Static

from sia_tui.tui.screens.over import Over


class Dialogue(Over[None]):
    def compose(self) -> ComposeResult:
        yield Static("a question", classes="box")


class Under(App[None]):
    def compose(self) -> ComposeResult:
        yield Static("before", id="fact")


def lines(app: App[Any]) -> list[str]:
    width, height = app.size
    console = Console(width=width, height=height, force_terminal=True, color_system="truecolor")
    update = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    with console.capture() as found:
        console.print(update)
    return found.get().splitlines()


async def test_what_lies_below_is_drawn_anew_only_when_it_is_another() -> None:
    app = Under()
    async with app.run_test(size=(80, 24)) as pilot:
        dialogue = Dialogue()
        await app.push_screen(dialogue)
        await pilot.pause()
        assert any("before" in line for line in lines(app)) and any("a question" in line for line in lines(app))
        drawn = dialogue._below[1]
        assert drawn and lines(app) and dialogue._below[1] is drawn
        below: Screen[Any] = app.screen_stack[0]
        below.query_one("#fact", Static).update("after")
        await pilot.pause()
        assert any("after" in line for line in lines(app)) and not any("before" in line for line in lines(app))
        assert dialogue._below[1] is not drawn
        await pilot.resize_terminal(60, 20)
        await pilot.pause()
        assert any("after" in line for line in lines(app))


async def test_the_box_is_shown_first_and_alone() -> None:
    """Leans on how Textual paints (`_compositor_refresh`, `_dirty_regions`): a part of the screen, then all that is dim."""
    app, shown = Under(), list[object]()
    async with app.run_test(size=(80, 24)) as pilot:
        app._display = lambda screen, update: shown.append(update)  # type: ignore[method-assign, assignment]
        dialogue = Dialogue()
        await app.push_screen(dialogue)
        await pilot.pause()
        first = next(update for update in shown if update is not None)
        assert isinstance(first, ChopsUpdate)
        box = dialogue.query_one(".box").region
        assert {(y, start, end) for y, start, end in first.spans} == {(y, box.x, box.right) for y in box.line_range}
        assert sum(isinstance(update, ChopsUpdate | LayoutUpdate) for update in shown) > 1
        assert any("before" in line for line in lines(app)) and dialogue._below[1]


async def test_it_is_tinted_as_textual_would_tint_it() -> None:
    app = Under()
    async with app.run_test(size=(40, 10)) as pilot:
        await app.push_screen(Dialogue())
        await pilot.pause()
        ours = lines(app)
        await app.pop_screen()
        await app.push_screen(Plain())
        await pilot.pause()
        assert ours == lines(app)


class Plain(Dialogue):
    """Drawn by Textual alone."""

    render = Screen.render  # type: ignore[assignment]
    DEFAULT_CSS = """
    Plain { align: center middle; background: $background 60%; }
    """
