"""The window around the panes: keys, tabs, what is said when the engine comes and goes."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest
from rich.color import ColorTriplet
from textual import events
from textual.widgets import ContentSwitcher, Input

from sia_tui.store.lock import hold
from sia_tui.store.reader import RunReader
from sia_tui.tui.app import SiaApp
from sia_tui.tui.heading import parting
from sia_tui.tui.legend import LEGENDS
from sia_tui.tui.panes import PANES
from sia_tui.tui.past import entries, mark
from sia_tui.tui.pieces import line
from sia_tui.tui.scores import score_lines
from sia_tui.tui.screens.help import signs
from sia_tui.tui.widgets.header import Header
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.tabs import Tabs
from tests.tui.desk import screen_text, settle
from tests.tui.opened import Asked, loaded, opened, text, until
from tests.tui.runs import Scene, make_run
from tests.tui.writer import writing


async def test_digits_and_clicks_switch_panes(tmp_path: Path) -> None:
    app = opened(make_run(tmp_path / "r", "patch_gate"))
    async with app.run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        for number, name in enumerate(PANES, 2):
            await pilot.press(str(number))
            await pilot.pause()
            assert app.query_one(ContentSwitcher).current == name == app.here
        await pilot.click(Tabs, offset=(12, 0))
        assert app.here == "live"


async def test_all_that_is_wanted_of_a_pane_that_is_still_coming_is_done(tmp_path: Path) -> None:
    app, done = opened(make_run(tmp_path / "r", "patch_gate")), list[str]()
    async with app.run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        app._go("history", lambda pane: done.append(f"first {pane.id}"))
        app._go("history", lambda pane: done.append(f"second {pane.id}"))
        assert done == []
        await until(pilot, lambda: done == ["first history", "second history"])


async def test_only_the_pane_in_sight_is_shown_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(make_run(tmp_path / "r", "training"))
    shown: list[str] = []
    async with app.run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        assert [pane.id for pane in app.query_one(ContentSwitcher).children] == ["live"], "the others are not even made"
        await pilot.press("5")
        await pilot.pause()
        await pilot.press("2")
        for name in ("live", "curves"):
            pane = app.query_one(f"#{name}")
            monkeypatch.setattr(pane, "show", lambda view, name=name: shown.append(name))
        with writing(tmp_path / "r") as run:
            run.store.progress("training", 19, 30, "2026-01-05T07:00:00+00:00")
        await until(pilot, lambda: bool(shown))
        assert set(shown) == {"live"}
        await pilot.press("5")
        await pilot.pause()
        assert shown[-1] == "curves"


async def test_a_gate_that_opens_elsewhere_calls_but_does_not_take_the_focus(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "r", "fresh")
    app = opened(paths)
    bells: list[int] = []
    app.bell = lambda: bells.append(1)  # type: ignore[method-assign]
    async with app.run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        before = app.focused
        with writing(paths.root) as run:
            run.prepare("r")
            run.generation(None, 0.1)
            name = run.proposal("harness", "try it")
            run.preview(name)
            run.gate(name)
        await until(pilot, lambda: app.view.state.waiting is not None)
        await pilot.pause(0.2)
        assert bells == [1] and app.here == "live" and app.focused is before
        assert "press 3" in text(app) and app.query_one(Header).has_class("-loud")
        await pilot.press("3")
        await pilot.pause(0.2)
        assert "press 3" not in text(app)


async def test_p_pauses_and_resumes_through_the_engine(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "r", "training")
    asked: Asked = []
    app = opened(paths, asked)
    async with app.run_test(size=(120, 40)) as pilot:
        with hold(paths.lock):
            await loaded(pilot)
            await until(pilot, lambda: app.view.alive)
            await pilot.press("p")
            await until(pilot, lambda: asked == [("pause", {})])
            assert "sia-tui attach r" in parting(app.view)


async def test_without_an_engine_p_says_so_and_r_starts_one(tmp_path: Path) -> None:
    asked: Asked = []
    started: list[str] = []
    app = opened(make_run(tmp_path / "r", "training"), asked, started)
    async with app.run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        assert "no engine: R starts it" in text(app)
        await pilot.press("p")
        await pilot.pause(0.1)
        assert asked == [] and "R starts it" in text(app)
        await pilot.press("R")
        await until(pilot, lambda: started == ["r"])
        assert "sia-tui resume r" in parting(app.view)


async def test_the_engines_coming_and_going_is_seen_with_the_command_that_goes_on(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "r", "training")
    app = opened(paths)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await loaded(pilot)
        with hold(paths.lock):
            await until(pilot, lambda: "engine ●" in text(app))
        await until(pilot, lambda: "no engine: R starts it" in text(app))
        await until(pilot, lambda: "the engine is gone; go on with R, or: sia-tui resume r" in text(app))
        assert "sia-tui resume r" in text(app).splitlines()[-2]


async def test_help_lists_the_keys_of_the_pane(tmp_path: Path) -> None:
    app = opened(make_run(tmp_path / "r", "training"))
    async with app.run_test(size=(120, 60)) as pilot:
        await loaded(pilot)
        await pilot.press("5", "question_mark")
        await pilot.pause(1.2)
        shown = text(app)
        assert "keys: curves" in shown and "training before" in shown and "leave; the engine goes on" in shown
        await pilot.press("escape", "2", "f1")
        await pilot.pause()
        assert "training before" not in text(app) and "half a page down" in text(app)


@pytest.mark.parametrize(
    ("pane", "key", "said"),
    [
        ("live", "2", "hidden agrees with dev"),
        ("gate", "3", "a check: green, amber, red"),
        ("history", "6", "the other side of the diff"),
    ],
)
async def test_help_says_what_the_signs_of_the_pane_mean(tmp_path: Path, pane: str, key: str, said: str) -> None:
    app = opened(make_run(tmp_path / "r", "patch_gate"))
    async with app.run_test(size=(120, 70)) as pilot:
        await loaded(pilot)
        await pilot.press(key, "question_mark")
        await until(pilot, lambda: f"keys: {pane} · signs below" in text(app))
        assert said in text(app) and "the run and its engine go on" in text(app)
        assert all(row.cell_length <= 64 for row in signs(pane))


def test_every_sign_before_a_name_is_in_the_legend(tmp_path: Path) -> None:
    told = {char for glyphs, _ in LEGENDS["live"] for glyph in glyphs for char in line(glyph).plain}
    for scene in get_args(Scene):
        with closing(RunReader(make_run(tmp_path / scene, scene).db)) as reader:
            state = reader.state()
        shown = {mark(entry, state)[0] for entry in entries(state)} | {
            row.pieces[1][0] for row in score_lines(state, 60)[: len(state.steps)]
        }
        assert shown <= told, scene


async def test_the_window_opens_while_the_run_cannot_be_read(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "r", "fresh")
    app = opened(paths)
    paths.db.write_bytes(b"nonsense" * 999)
    async with app.run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        await until(pilot, lambda: "cannot read" in text(app))
        await pilot.press("2", "3", "4", "5", "6")


async def test_episodes_stream_in_while_the_window_is_open(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "r", "training")
    app = opened(paths)
    async with app.run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        stream = app.query_one("#stream", Lines)
        before = stream.count
        with writing(paths.root) as run:
            run.evaluate(0, "dev", 0.5, episodes=30)
        await until(pilot, lambda: stream.count == before + 30)
        await pilot.pause(0.5)
        assert stream.cursor == stream.count - 1


@pytest.mark.parametrize("scene", ["fresh", "training", "plan_gate", "patch_gate"])
async def test_without_colour_every_pane_still_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = opened(make_run(tmp_path / "r", scene))
    async with app.run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        for key in ("2", "3", "4", "5", "6", "question_mark"):
            await pilot.press(key)
            await until(pilot, lambda: app.here in app._shown)
            await pilot.pause()
            assert colours(app) == set(), key
            assert len("".join(text(app).splitlines()[3:-2]).split()) > 3, "below the tabs, above the keys"
        assert "keys: history" in text(app)


def colours(app: SiaApp) -> set[ColorTriplet]:
    """Those on the screen that are no shade of grey."""
    styles = {segment.style for strip in app.screen._compositor.render_strips() for segment in strip if segment.style}
    drawn = {one.triplet for style in styles for one in (style.color, style.bgcolor) if one is not None}
    return {one for one in drawn if one is not None and len(set(one)) > 1}


async def test_what_is_typed_before_a_pane_is_there_is_heard_by_it_key_by_key(tmp_path: Path) -> None:
    app = opened(make_run(tmp_path / "r", "training"))
    async with app.run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        for key in ("4", "slash", "o", "1"):
            # All at once, as to a busy window.
            app.post_message(events.Key(key, None))
        await until(pilot, lambda: "rollouts" in app._there)
        await until(pilot, lambda: app.query_one("#rollouts #search", Input).value == "o1")
        app.post_message(events.Key("6", None))
        app.post_message(events.Key("ctrl+q", None))
        await until(pilot, lambda: not app.is_running)


@pytest.mark.parametrize("pause", [0.0, 0.01])
async def test_no_key_overtakes_one_that_waited_for_its_pane(tmp_path: Path, pause: float) -> None:
    app = opened(make_run(tmp_path / "r", "training"))
    async with app.run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        for key in ("6", "slash", *"query"):
            app.post_message(events.Key(key, key if len(key) == 1 else "/"))
            await asyncio.sleep(pause)
        await until(
            pilot, lambda: "history" in app._there and app.query_one("#history #search", Input).value == "query"
        )
        assert app.is_running and app.here == "history"


async def test_keys_behind_one_that_closes_what_was_to_hear_it_are_heard(tmp_path: Path) -> None:
    app = opened(make_run(tmp_path / "r", "training"))
    async with app.run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        for key in ("6", "d", "escape", "5"):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: app.here == "curves" and not app._typed and app._hearing is None)


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (40, 12), (300, 100)])
async def test_any_size_holds(tmp_path: Path, size: tuple[int, int]) -> None:
    app = opened(make_run(tmp_path / "r", "keep_gate"))
    async with app.run_test(size=size) as pilot:
        await loaded(pilot)
        for key in ("2", "3", "4", "5", "6", "question_mark"):
            await pilot.press(key)
            await pilot.pause(0.05)


async def test_where_not_all_keys_fit_the_one_that_lists_them_does(tmp_path: Path) -> None:
    """A training under way and no engine: more keys than there ever are."""
    app = opened(make_run(tmp_path / "r", "training"))
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        for name in PANES:
            app.action_pane(name)
            await settle(pilot)
            assert screen_text(app).rstrip().endswith("? help"), name
