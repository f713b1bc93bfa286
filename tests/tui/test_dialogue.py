"""What agents' models were sent and said: one key away, whole, and never with a character that steers a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from sia_tui.core import events as ev
from sia_tui.store.workspace import RunPaths
from sia_tui.store.writer import RunStore
from sia_tui.tui.screens.dialogue import Dialogue
from tests.tui.desk import SMALL, open_on, screen_text, settle
from tests.tui.runs import make_run

CALL = ev.AgentCalled("c" * 64, "feedback", "openai:m", "127.0.0.1", "p" * 64, 1200, 400, 80, 0.5, 3.0, 1)


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    found = make_run(tmp_path / "runs" / "r", "training")
    sent = ({"role": "system", "text": "You are\x1b[2Jthe Feedback-Agent"}, {"role": "user", "text": "页" * 200})
    said = ({"role": "call", "name": "answer", "text": '{"lever": "weights"}\u202e'},)
    with RunStore(found.db) as store:
        store.record_call(CALL, 2, sent, said, b"[]")
    return found


async def test_one_key_shows_it_and_escape_goes_back(paths: RunPaths) -> None:
    async with open_on(paths, "live", size=SMALL) as (app, pilot):
        assert "MODELS    1 replies, 1280 tok, 0.50 $" in screen_text(app)
        await pilot.press("m")
        await settle(pilot)
        assert isinstance(app.screen, Dialogue)
        shown = screen_text(app)
        for part in ("feedback agent · step 2", "instructions", "␛[2J", "页页", "calls answer", "<U+202E>"):
            assert part in shown, part
        await pilot.resize_terminal(120, 40)
        await settle(pilot)
        assert "calls answer" in screen_text(app)
        await pilot.press("escape")
        assert not isinstance(app.screen, Dialogue)


async def test_a_run_of_rules_says_so(tmp_path: Path) -> None:
    async with open_on(make_run(tmp_path / "runs" / "r", "training"), "live") as (app, pilot):
        assert "MODELS" not in screen_text(app)
        await pilot.press("m")
        await settle(pilot)
        assert "written rules" in screen_text(app)
