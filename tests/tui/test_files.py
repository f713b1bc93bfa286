"""The files of a patch, laid over its gate: gone to, taken and dropped whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from sia_tui.store.workspace import RunPaths
from sia_tui.tui.screens.files import Files
from sia_tui.tui.widgets.diff import DiffView
from tests.tui.desk import SMALL, Engine, open_on, screen_text, settle
from tests.tui.runs import make_run


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return make_run(tmp_path / "runs" / "r", "patch_gate")


async def test_a_file_is_gone_to(paths: RunPaths) -> None:
    async with open_on(paths, "gate", Engine(), size=SMALL) as (app, pilot):
        await pilot.press("t")
        await settle(pilot)
        assert isinstance(app.screen, Files)
        shown = screen_text(app)
        for part in ("FILES of the diff · 2", "harness.py", "+7", "−3", "[✓] 1 of 1 hunk", "prompts/ask.md", "+1"):
            assert part in shown, part
        await pilot.press("down", "enter")
        await settle(pilot)
        assert not isinstance(app.screen, Files)
        assert app.query_one("#diff", DiffView).file == app.query_one("#diff", DiffView).at == 1


async def test_a_file_is_dropped_whole_and_a_proposes_the_rest(paths: RunPaths) -> None:
    async with open_on(paths, "gate", Engine()) as (app, pilot):
        await pilot.press("t", "space")
        await settle(pilot)
        assert "[ ] 0 of 1 hunk" in screen_text(app)
        await pilot.press("t")
        await settle(pilot)
        assert "[ ] dropped  hunk 1 of 2" in screen_text(
            app
        ) and "1 of 2 hunks: a yes makes a new proposal" in screen_text(app)
        await pilot.press("t", "space", "escape")
        await settle(pilot)
        assert "makes a new proposal" not in screen_text(app)


async def test_while_a_verdict_is_held_nothing_is_dropped(paths: RunPaths) -> None:
    async with open_on(paths, "gate", Engine()) as (app, pilot):
        await pilot.pause(0.6)
        await pilot.press("a", "t", "space", "escape")
        await settle(pilot)
        assert "[✓] take  hunk 1 of 2" in screen_text(app) and "approve" in screen_text(app)


async def test_history_has_them_too(paths: RunPaths) -> None:
    async with open_on(paths, "history") as (app, pilot):
        await pilot.press("g")
        await settle(pilot)
        await pilot.press("t")
        await settle(pilot)
        assert isinstance(app.screen, Files) and "take or drop" not in screen_text(app)
