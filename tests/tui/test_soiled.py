"""A run in which every word is hostile, through every pane and everything that is laid over them."""

from __future__ import annotations

import importlib
import pkgutil
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widget import Widget

from sia_tui.core import events as ev
from sia_tui.store.lock import hold
from sia_tui.store.reader import Answer
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore
from sia_tui.tui import screens
from sia_tui.tui import verdicts as rules
from sia_tui.tui import widgets as parts
from sia_tui.tui.app import SiaApp
from sia_tui.tui.panes import TABS
from sia_tui.tui.replay import Replay
from sia_tui.tui.replayed import ReplayApp
from sia_tui.tui.screens.over import Over
from tests.terminal import Terminal
from tests.tui.opened import loaded, text, until
from tests.tui.place import Place
from tests.tui.runs import moment
from tests.tui.soiled import soiled_run
from tests.tui.test_hostile import steering
from tests.tui.test_terminal import OWN, open_window
from tests.tui.writer import HOSTILE

CALL = ev.AgentCalled("c" * 64, "feedback" + HOSTILE, HOSTILE, HOSTILE, "p" * 64, 1200, 400, 80, 0.5, 3.0, 1)
WAYS = {
    "Leaving": ("live", "q"),
    "Help": ("live", "question_mark"),
    "Dialogue": ("live", "m"),
    "Page": ("live", "w"),
    "Files": ("gate", "r escape t"),
    "Form": ("gate", "u"),
    "Narrow": ("rollouts", "e"),
    "Across": ("rollouts", "enter c"),
    "Samples": ("curves", "t"),
    "Overlays": ("curves", "o"),
    "Ledger": ("history", "d"),
    "Blame": ("history", "g B"),
    "Naming": ("history", "o"),
    "Revive": ("history", "g j j u"),
    "NewRun": ("home", "n"),
    "Confirm": ("home", "S"),
}
"""On which pane and by which keys each is opened; one that is not named here fails the test. The way there may lead by
what else is to be seen."""


def laid_over(kind: type[Any] = Over) -> set[str]:
    """Of the package: a test may have one of its own, of the same name too."""
    own = [one for one in kind.__subclasses__() if one.__module__.startswith("sia_tui.")]
    return {one.__name__ for one in own}.union(*(laid_over(one) for one in own))


def dirty(root: Path) -> tuple[RunPaths, SiaApp]:
    paths = soiled_run(root / "runs" / "r", "patch_gate")
    sent = ({"role": "system", "text": HOSTILE}, {"role": HOSTILE, "text": "页" * 200})
    with RunStore(paths.db) as store:
        store.record_call(CALL, 2, sent, ({"role": "call", "name": HOSTILE, "text": HOSTILE},), b"[]")
    still = moment(paths)
    place = Place(Workspace(root))
    no = Answer(False, HOSTILE)
    app = SiaApp(paths, lambda kind, body: no, lambda: no, lambda: still, place=place)
    app.animation_level = "none"
    return paths, app


def test_every_dialogue_has_a_way_to_it() -> None:
    for module in pkgutil.iter_modules(screens.__path__, f"{screens.__name__}."):
        importlib.import_module(module.name)
    assert laid_over() == set(WAYS)


async def test_each_is_reached_and_shows_no_word_but_as_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "SETTLE_S", 0.0)
    paths, app = dirty(tmp_path)
    met = set[type[Any]]()
    with hold(paths.lock):
        async with app.run_test(size=(120, 40)) as pilot:
            await loaded(pilot)
            await until(pilot, lambda: app.view.alive)
            for name, (pane, keys) in WAYS.items():
                if app.here != pane:
                    app.action_pane(pane)
                    met |= await come(pilot, app)
                    below_the_heading = text(app).split("\n", 2)[2]
                    assert "[red]x[/]" in below_the_heading, pane
                for key in keys.split():
                    app.simulate_key(key)
                    met |= await come(pilot, app)
                assert type(app.screen).__name__ == name, text(app)
                app.pop_screen()
            app.action_pane("rollouts")
            for key in ("enter", "slash"):
                met |= await come(pilot, app)
                app.simulate_key(key)
            met |= await come(pilot, app)
    played = ReplayApp(paths, Replay(paths))
    async with played.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: played.view.state.run != "")
        played.replay.seek(0.5 * played.replay.film.length_s)
        met |= await come(pilot, played)
    unmet = {one.__name__ for one in widgets() if not any(issubclass(kind, one) for kind in met)}
    assert unmet == set(), "no pane and no dialogue of these shows them"


async def come(pilot: Pilot[None], app: SiaApp) -> set[type[Any]]:
    """Until what was asked for is there and has read what it shows: the pane in sight, or what is laid over it. Nothing on it
    steers. Returns what it is made of."""
    await until(pilot, lambda: app.here == "home" or app.here in app._shown)
    for _ in range(2):
        await pilot.pause(0.02)
        await app.workers.wait_for_complete()
    shown = text(app)
    assert steering(shown) == [], (app.here, app.screen)
    return {type(widget) for widget in app.screen.walk_children() if widget.display}


def widgets() -> list[type[Any]]:
    """All of the package's, also one that is yet to be added."""
    modules = [importlib.import_module(one.name) for one in pkgutil.iter_modules(parts.__path__, f"{parts.__name__}.")]
    made = [one for module in modules for one in vars(module).values() if isinstance(one, type)]
    return [one for one in made if issubclass(one, Widget) and one.__module__.startswith(parts.__name__)]


KEYS = {"question_mark": "?", "enter": "\r", "escape": "\x1b"}
THERE = dict(zip(TABS, ("RUNS", "GENERATIONS", "other lever", "outcome", "samples", "revive"), strict=True))
TITLES = {
    "Leaving": "leave?",
    "Files": "FILES of the diff",
    "Narrow": "SCORE AND FAILURE",
    "Samples": "SAMPLES of",
    "Ledger": "DECISIONS",
    "Blame": "WHO WROTE",
    "Revive": "REVIVE",
    "NewRun": "new run",
}


@pytest.mark.long
def test_a_real_terminal_gets_no_byte_of_them_and_their_markup_as_it_stands(tmp_path: Path) -> None:
    paths = soiled_run(Workspace(tmp_path).runs / "r", "patch_gate")
    with hold(paths.lock), open_window(tmp_path, "attach", "r") as terminal:
        terminal.see("GENERATIONS")
        for name, (pane, keys) in WAYS.items():
            terminal.press(str(TABS.index(pane) + 1))
            terminal.see(THERE[pane])
            looked(terminal)
            for key in keys.split():
                terminal.press(KEYS.get(key, key))
                looked(terminal)
            terminal.see(TITLES.get(name, ""), 10.0)
            for _ in range(2):
                terminal.press("\x1b")
                looked(terminal)
        terminal.press("\x11")
        assert terminal.wait() == 0
    said = terminal.raw.decode("utf-8")
    left = OWN.sub("", said)
    assert {char for char in left if char not in "\r\n\t" and unicodedata.category(char) in ("Cc", "Cf")} == set()
    assert "\x1b]52" not in said and "[bold red]" in said and "Traceback" not in said


def looked(terminal: Terminal) -> str:
    """The screen once it rests. After Esc some time has to pass, or the next key is one with Alt."""
    time.sleep(0.2)
    seen = [terminal.screen()]
    end = time.monotonic() + 5.0
    while len(seen) < 5 or (len(set(seen[-4:])) > 1 and time.monotonic() < end):
        seen.append(terminal.screen())
    return seen[-1]
