"""The line of keys keeps nothing of what it no longer shows, is there in a window that never had the focus, and stays as it is
under a dialogue."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import ClassVar

import pytest
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets._footer import FooterKey

from sia_tui.store.workspace import RunPaths
from sia_tui.tui.widgets.keys import Keys
from tests.tui.desk import SMALL, open_on, screen_text
from tests.tui.runs import Scene


class Keyed(App[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "help", "help"), Binding("q", "quit", "leave")]

    helps = True

    def compose(self) -> ComposeResult:
        yield Keys()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.helps or action != "help"


class Over(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "close")]


def alive() -> int:
    gc.collect()
    return sum(isinstance(found, FooterKey) for found in gc.get_objects())


async def test_keys_that_were_taken_off_are_gone() -> None:
    app = Keyed()
    async with app.run_test() as pilot:
        await pilot.pause()
        before, shown = alive(), len(app.query(FooterKey))
        assert shown == 2
        for _ in range(10):
            app.helps = not app.helps
            app.refresh_bindings()
            await pilot.pause()
            assert len(app.query(FooterKey)) == shown - (not app.helps)
        assert alive() <= before + shown


async def test_under_a_dialogue_they_stay_and_what_changed_meanwhile_is_shown_after_it() -> None:
    app = Keyed()
    async with app.run_test() as pilot:
        await pilot.pause()
        main, before = app.screen, list(app.query(FooterKey))
        await app.push_screen(Over())
        await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is main and [*main.query(FooterKey)] == before
        await app.push_screen(Over())
        app.helps = False
        app.refresh_bindings()
        await pilot.pause()
        assert [*main.query(FooterKey)] == before
        await pilot.press("escape")
        await pilot.pause()
        assert [key.description for key in main.query(FooterKey)] == ["leave"]


class Told(Keys):
    """Hears of other keys while it is being made anew."""

    made = 0

    def compose(self) -> ComposeResult:
        self.made += 1
        if self._bindings_ready:
            self.bindings_changed(self.screen)
        yield from super().compose()


async def test_what_changes_while_they_are_made_anew_does_not_make_them_twice() -> None:
    keys = Told()
    app = Keyed()
    app.compose = lambda: iter((keys,))  # type: ignore[method-assign]
    async with app.run_test() as pilot:
        await pilot.pause()
        before = keys.made
        app.helps = False
        app.refresh_bindings()
        await pilot.pause()
        await pilot.pause()
        assert keys.made == before + 1
        assert [key.description for key in app.query(FooterKey)] == ["leave"]


async def test_they_are_there_though_the_window_never_had_the_focus() -> None:
    app = Keyed()
    app.set_reactive(App.app_focus, False)
    async with app.run_test() as pilot:
        await pilot.pause()
        assert [key.description for key in app.query(FooterKey)] == ["help", "leave"]


@pytest.mark.parametrize("pane", ["home", "live", "gate", "rollouts", "curves", "history"])
async def test_in_a_small_window_the_key_that_leaves_is_there(pane: str, scenes: Callable[[Scene], RunPaths]) -> None:
    async with open_on(scenes("patch_gate"), pane, size=SMALL) as (app, _pilot):
        last = screen_text(app).splitlines()[-1]
        assert " q leave" in last and " ? help" in last and " : more" in last
