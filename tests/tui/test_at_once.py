"""Leaving while something is still coming: Textual mounts nothing any more, and no part of it may be missed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from textual.css.query import NoMatches

from tests.tui.opened import loaded
from tests.tui.test_soiled import WAYS, dirty


@pytest.mark.parametrize(("name", "moments"), [("home", 0), ("gate", 0), ("gate", 1)])
async def test_a_pane_that_was_coming_is_no_fault(tmp_path: Path, name: str, moments: int) -> None:
    _, app = dirty(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        app.action_pane(name)
        for _ in range(moments):
            await asyncio.sleep(0)
        app.exit()
    assert not app.return_code


@pytest.mark.parametrize("name", ["Narrow", "NewRun"])
async def test_nor_is_a_dialogue(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, app = dirty(tmp_path)
    pane, keys = WAYS[name]
    *way, last = keys.split()
    push, left = app.push_screen, asyncio.Event()

    def pushed_as_it_leaves(*one: Any, **options: Any) -> Any:
        app.exit()
        left.set()
        return push(*one, **options)

    async with app.run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        app.action_pane(pane)
        await pilot.pause(0.3)
        for key in way:
            await pilot.press(key)
        monkeypatch.setattr(app, "push_screen", pushed_as_it_leaves)
        app.simulate_key(last)
        await asyncio.wait_for(left.wait(), 10)
    assert not app.return_code


async def test_a_fault_of_its_own_is_still_told(tmp_path: Path) -> None:
    _, app = dirty(tmp_path)

    with pytest.raises(RuntimeError, match="of its own"):
        async with app.run_test(size=(120, 40)) as pilot:
            await loaded(pilot)
            app.exit()
            app._handle_exception(RuntimeError("of its own"))


async def test_what_misses_a_part_at_the_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, app = dirty(tmp_path)
    monkeypatch.setattr(type(app._tabs), "on_mount", lambda tabs: tabs.query_one("#nowhere"), raising=False)
    with pytest.raises(NoMatches, match="nowhere"):
        async with app.run_test(size=(120, 40)):
            pass
