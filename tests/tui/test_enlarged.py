"""A part that `+` has enlarged: it alone, with its keys; never over what is asked or typed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.widgets import Input

from sia_tui.store.workspace import RunPaths
from sia_tui.tui import verdicts as rules
from sia_tui.tui.screens.gate import GatePane
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.reason import Reason
from tests.tui.desk import SMALL, Engine, open_on, screen_text, settle
from tests.tui.opened import until
from tests.tui.runs import Scene


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "UNDO_S", 60.0)
    monkeypatch.setattr(rules, "SETTLE_S", 0.05)


@pytest.mark.parametrize("pane", ["live", "gate", "rollouts", "curves", "history"])
async def test_the_part_in_the_focus_has_the_window_and_gives_it_back(
    pane: str, scenes: Callable[[Scene], RunPaths]
) -> None:
    async with open_on(scenes("patch_gate"), pane, Engine(), size=SMALL) as (app, pilot):
        part = app.focused
        assert part is not None
        before = part.region
        await pilot.press("plus")
        await settle(pilot)
        assert app.screen.maximized is part and part.region.area > before.area
        await pilot.press("down", "plus")
        await settle(pilot)
        assert app.screen.maximized is None and part.region == before and app.focused is part


async def test_what_has_no_room_on_the_live_pane_is_a_line_that_can_be_enlarged(
    scenes: Callable[[Scene], RunPaths],
) -> None:
    async with open_on(scenes("done"), "live", size=SMALL) as (app, pilot):
        await until(pilot, lambda: "DEV · %" in screen_text(app) and "● kept 40.2" in screen_text(app))
        assert "WHY THEY FAIL" in screen_text(app) and "not a charge       238 █    −36 ▼" in screen_text(app)
        for name, whole in (("course", "┏━"), ("failures", "another charge")):
            while app.focused is None or app.focused.id != name:
                await pilot.press("tab")
            assert whole not in screen_text(app)
            await pilot.press("plus")
            await until(pilot, lambda whole=whole: whole in screen_text(app))
            await pilot.press("plus")
            await settle(pilot)
            assert app.focused is app.query_one(f"#{name}") and app.focused.size.height == 1


async def test_a_verdict_is_held_in_sight(scenes: Callable[[Scene], RunPaths]) -> None:
    async with open_on(scenes("patch_gate"), "gate", Engine(), size=SMALL) as (app, pilot):
        await pilot.press("plus", "a")
        await settle(pilot)
        assert app.query_one(GatePane).verdicts.held is not None
        assert app.screen.maximized is None and "takes it back" in screen_text(app)


async def test_a_reason_is_written_in_sight(scenes: Callable[[Scene], RunPaths]) -> None:
    async with open_on(scenes("patch_gate"), "gate", Engine(), size=SMALL) as (app, pilot):
        await pilot.press("plus", "r", *"too long")
        await settle(pilot)
        assert app.query_one(Reason).value == "too long" and "too long" in screen_text(app)


@pytest.mark.parametrize("pane", ["rollouts", "history"])
async def test_what_is_searched_for_is_written_in_sight(pane: str, scenes: Callable[[Scene], RunPaths]) -> None:
    async with open_on(scenes("patch_gate"), pane, Engine(), size=SMALL) as (app, pilot):
        assert isinstance(app.focused, Lines)
        await pilot.press("plus", "slash", *"vote")
        await settle(pilot)
        assert isinstance(app.focused, Input) and app.screen.maximized is None and "vote" in screen_text(app)
