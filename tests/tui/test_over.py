"""What lies below a dialogue is drawn once, and anew when it is another; the mouse does in it what its keys do."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App, ComposeResult
from textual.content import Content
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, Static

from sia_tui.tui.keymap import _classes, name_bindings
from sia_tui.tui.screens.confirm import Confirm
from sia_tui.tui.screens.help import Help
from sia_tui.tui.screens.naming import Naming
from sia_tui.tui.screens.over import Over
from sia_tui.tui.widgets.lines import Lines


class Dialogue(Over[None]):
    def compose(self) -> ComposeResult:
        yield Static("a question", classes="box")


class Under(App[None]):
    def __init__(self) -> None:
        name_bindings()
        super().__init__()

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


class Rows(Over[int]):
    enters = "read"

    def compose(self) -> ComposeResult:
        lines = Lines(classes="box")
        lines.show_list([Content(str(row)) for row in range(50)])
        yield lines

    def on_lines_chosen(self, event: Lines.Chosen) -> None:
        self.dismiss(event.row)


async def click(pilot: Pilot[None], text: str) -> None:
    """On the first letter of this text at the foot of the dialogue."""
    y, said = foot(pilot.app)
    assert text in said, said
    await pilot.click(offset=(said.index(text), y))
    await pilot.pause()


def foot(app: App[Any]) -> tuple[int, str]:
    """Of the dialogue: its row, and what it says."""
    y = app.screen.query(".box, .sheet").first().region.bottom - 1
    return y, app.screen._compositor.render_strips()[y].text


async def opened(pilot: Pilot[None], dialogue: Screen[Any]) -> list[Any]:
    """Where its answer will be."""
    answers: list[Any] = []
    pilot.app.push_screen(dialogue, answers.append)
    await pilot.pause()
    return answers


async def test_a_click_on_a_key_does_what_the_key_does_and_one_outside_leaves() -> None:
    async with Under().run_test(size=(80, 24)) as pilot:
        for text, answer in (("yes", True), ("esc", False)):
            answers = await opened(pilot, Confirm("Stop it?"))
            await click(pilot, text)
            assert answers == [answer]
        answers = await opened(pilot, Confirm("Stop it?"))
        await pilot.click(offset=(40, 12))
        assert answers == [], "in the box, beside its keys"
        await pilot.click(offset=(2, 2))
        await pilot.pause()
        assert answers == [False]


async def test_a_click_outside_drops_nothing_that_was_typed() -> None:
    async with Under().run_test(size=(80, 24)) as pilot:
        answers = await opened(pilot, Naming("Its name:", "r-g3"))
        await pilot.press("x")
        await pilot.click(offset=(2, 2))
        await pilot.pause()
        assert answers == [] and pilot.app.screen.query_one(Input).value == "r-g3x"
        assert [note.message for note in pilot.app._notifications] == ["what you typed stays; esc leaves it"]
        await pilot.press("backspace")
        await pilot.click(offset=(2, 2))
        await pilot.pause()
        assert answers == [None], "nothing would be lost"


async def test_what_enter_does_is_clicked_too() -> None:
    async with Under().run_test(size=(80, 24)) as pilot:
        answers = await opened(pilot, Naming("Its name:", "r-g3"))
        await click(pilot, "enter")
        assert answers == ["r-g3"]
        answers = await opened(pilot, Confirm("Delete r?", "r"))
        await click(pilot, "enter")
        assert answers == [], "its name is not typed yet"
        pilot.app.screen.query_one(Input).value = "r"
        await click(pilot, "yes")
        assert answers == [True]
        answers = await opened(pilot, Rows())
        await pilot.press("j")
        await click(pilot, "read")
        assert answers == [1], "nor does the click move the cursor"


async def test_a_dialogue_names_its_keys_as_a_person_has_bound_them() -> None:
    app = Under()
    app.set_keymap({"confirm.yes": "f5", "confirm.no": "ctrl+n", "lines.choose": "o"})
    async with app.run_test(size=(80, 24)) as pilot:
        answers = await opened(pilot, Confirm("Stop it?"))
        assert " f5  yes   ^n  no" in foot(app)[1]
        await pilot.press("y")
        assert answers == []
        await pilot.press("f5")
        assert answers == [True]
        await opened(pilot, Rows())
        assert " o  read" in foot(app)[1]


def test_every_dialogue_is_left_by_esc_alone_which_decides_nothing() -> None:
    dialogues = [cls for cls in _classes() if issubclass(cls, Over) and cls is not Over]
    assert len(dialogues) >= 12
    for cls in dialogues:
        assert cls._merged_bindings is not None
        [leaves] = cls._merged_bindings.key_to_bindings["escape"]
        assert leaves.show and leaves.action in ("dismiss(None)", "dismiss(False)", "app.pop_screen"), cls


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_list_of_keys_is_walked_through_like_any_list(size: tuple[int, int]) -> None:
    async with Under().run_test(size=size) as pilot:
        app = pilot.app
        many = {f"f{number}": found for number in range(99) for found in app.screen.active_bindings.values()}
        await opened(pilot, Help("live", many))
        lines = app.screen.query_one(Lines)
        lines.show_list([Content(str(row)) for row in range(99)])
        seen = []
        for key in ("j", "ctrl+d", "k", "G", "g", "ctrl+d", "ctrl+u"):
            await pilot.press(key)
            seen.append(lines.scroll_y)
        half = round(0.5 * (lines.size.height - 1))
        assert seen == [1, 1 + half, half, lines.max_scroll_y, 0, half, 0]
        await pilot.press("enter")
        assert not app.screen.is_modal
