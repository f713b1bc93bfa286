"""What models and tools say is shown, never obeyed: no escape reaches a strip, no markup is read."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.screen import Screen

from sia_tui.store.reader import Answer, EpisodeRow, RunReader
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import Workspace
from sia_tui.tui.app import SiaApp
from sia_tui.tui.panes import PANES
from sia_tui.tui.pieces import Laid, laid_out, line
from sia_tui.tui.plan_form import Field
from sia_tui.tui.replay import Replay
from sia_tui.tui.replayed import ReplayApp
from sia_tui.tui.screens.across import Across
from sia_tui.tui.screens.confirm import Confirm
from sia_tui.tui.screens.draft import NewRun
from sia_tui.tui.screens.form import Form
from sia_tui.tui.screens.leaving import Leaving
from sia_tui.tui.screens.page import Page
from sia_tui.tui.stream import episode_line
from sia_tui.tui.view import View
from sia_tui.tui.widgets.card import Card
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.widgets.titled import titled
from sia_tui.tui.window import Source
from sia_tui.tui.workplace import Access
from tests.tui.opened import loaded, opened, text, until
from tests.tui.runs import Scene, make_run
from tests.tui.writer import HOSTILE

NASTY = st.text(st.one_of(st.characters(), st.sampled_from("\x1b\x9b\x00\x7f\u202e\u2066\u200b[]\\/$\r\n\t"))).map(
    lambda said: f"[/nope] {said} [bold red] \x1b[2J"
)


def steering(shown: str) -> list[str]:
    """Characters that would steer a terminal or hide what is said."""
    return [char for char in shown if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")]


@pytest.mark.parametrize("scene", ["patch_gate", "plan_gate", "training", "done"])
async def test_no_pane_lets_a_steering_character_through(tmp_path: Path, scene: Scene) -> None:
    app = opened(make_run(tmp_path / "r", scene))
    async with app.run_test(size=(140, 50)) as pilot:
        await loaded(pilot)
        for number in range(1, len(PANES) + 2):
            await pilot.press(str(number))
            await pilot.pause(0.2)
            assert steering(text(app)) == [], f"pane {number}"
            await pilot.press("j", "enter")
            await pilot.pause(0.2)
            assert steering(text(app)) == [], f"pane {number}, opened"


def refuse(values: Mapping[str, str]) -> str:
    raise ValueError(HOSTILE)


@dataclass
class Hostile:
    """A place whose every word steers."""

    workspace: Workspace
    user: str = HOSTILE

    def open(self, name: str) -> Access:
        raise StoreError(HOSTILE)

    def configs(self) -> Sequence[Path]:
        return [Path(HOSTILE.replace("\x00", ""))]

    def begin(self, draft: object) -> Answer:
        return Answer(False, HOSTILE)

    def estimate(self, draft: object) -> Answer:
        return Answer(False, HOSTILE)

    def export(self, run: str, generation: int, folder: str) -> Answer:
        return Answer(False, HOSTILE)

    def delete(self, name: str) -> Answer:
        return Answer(False, HOSTILE)

    def compare(self, one: str, other: str) -> Laid:
        return laid_out(HOSTILE)


async def test_no_screen_laid_over_the_window_lets_one_through(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "runs" / "r", "done")
    workspace = Workspace(tmp_path)
    with closing(RunReader(paths.db)) as reader:
        state, row = reader.state(), reader.recent(0, 10**9, 1)[-1]
    screens: list[Screen[Any]] = [
        Page(HOSTILE, lambda: laid_out(f"{HOSTILE}\n{HOSTILE}")),
        Page("digest", lambda: laid_out(refuse({}))),
        Confirm(HOSTILE),
        Confirm("delete?", HOSTILE),
        Form(HOSTILE, [Field("x", HOSTILE, "1", HOSTILE)], refuse, HOSTILE),
        Form("ranges", [Field("x", "x", HOSTILE, "")], lambda values: HOSTILE, "saves"),
        Leaving((View(HOSTILE, replace(state, run=HOSTILE)),)),
        Across(Source(paths.db), state, row.case_id, row.id, True),
        NewRun(Hostile(workspace)),
    ]
    app = opened(paths)
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        for screen in screens:
            await app.push_screen(screen)
            await pilot.pause(0.1)
            await app.workers.wait_for_complete()
            assert text(app).strip() and steering(text(app)) == [], type(screen).__name__
            await pilot.press("ctrl+s")
            await pilot.pause()
            assert steering(text(app)) == [], type(screen).__name__
            if app.screen is screen:
                app.pop_screen()
        await pilot.press("w")
        await until(pilot, lambda: "decided" in text(app))
        assert steering(text(app)) == []


async def test_home_and_a_recording_let_none_through(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "runs" / "r", "patch_gate")
    for name in ("fresh", "torn"):
        make_run(tmp_path / "runs" / name, "fresh")
    (tmp_path / "runs" / "torn" / "run.db").write_bytes(b"\x1b[2J" * 400)
    home = SiaApp(
        None,
        lambda kind, body: Answer(False, HOSTILE),
        lambda: Answer(False, HOSTILE),
        place=Hostile(Workspace(tmp_path)),
    )
    async with home.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: home._shelf is not None and home._shelf.complete and "torn" in text(home))
        for key in ("enter", "j", "enter", "j", "enter", "R", "space"):
            await pilot.press(key)
            await pilot.pause()
            assert steering(text(home)) == [] and home.here == "home", key
    played = ReplayApp(paths, Replay(paths))
    async with played.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: played.view.state.run != "")
        for share in (0.5, 1.0):
            played.replay.seek(share * played.replay.film.length_s)
            for pane in PANES:
                played.action_pane(pane)
                await pilot.pause()
                assert steering(text(played)) == [], (share, pane)


class Shown(App[None]):
    CSS = SiaApp.CSS

    def compose(self) -> ComposeResult:
        yield Lines()
        yield Card()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=NASTY)
def test_any_text_is_shown_as_text(said: str) -> None:
    import asyncio

    asyncio.run(_show(said))


async def _show(said: str) -> None:
    at = "2026-01-05T07:00:00+00:00"
    row = EpisodeRow(said, "k", said, "dev", None, 0.0, said, "policy", said, 9, 1.0, "x", None, None, None, None, at)
    app = Shown()
    async with app.run_test(size=(70, 12)) as pilot:
        lines, card = app.query_one(Lines), app.query_one(Card)
        lines.show_rows(3, lambda index, width: content(episode_line(row, width, True, datetime.fromisoformat(at))))
        card.show(lambda width, height: [line(said), line((said, "bold"))])
        titled(card, said)
        await pilot.pause()
        shown = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
        assert steering(shown) == []
