"""The line of keys keeps nothing of what it no longer shows, and is there in a window that never had the focus."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import ClassVar

import pytest
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets._footer import FooterKey

from sia_tui.store.workspace import RunPaths
from sia_tui.tui.widgets.keys import Keys
from tests.tui.desk import SMALL, open_on, screen_text
from tests.tui.runs import Scene


class Keyed(App[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "help", "help"), Binding("q", "quit", "leave")]

    def compose(self) -> ComposeResult:
        yield Keys()


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
            app.refresh_bindings()
            await pilot.pause()
        assert len(app.query(FooterKey)) == shown and alive() <= before + shown


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
