"""A run in which every word is hostile, through every pane and everything that is laid over them."""

from __future__ import annotations

import importlib
import pkgutil
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from sia_tui.core import events as ev
from sia_tui.store.lock import hold
from sia_tui.store.reader import Answer
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore
from sia_tui.tui import screens
from sia_tui.tui.app import SiaApp
from sia_tui.tui.screens.over import Over
from tests.terminal import Terminal
from tests.tui.desk import settle
from tests.tui.opened import loaded, text, until
from tests.tui.place import Place
from tests.tui.runs import Scene, moment
from tests.tui.soiled import soiled_run
from tests.tui.test_hostile import steering
from tests.tui.test_terminal import OWN, open_window
from tests.tui.writer import HOSTILE

CALL = ev.AgentCalled("c" * 64, "feedback" + HOSTILE, HOSTILE, HOSTILE, "p" * 64, 1200, 400, 80, 0.5, 3.0, 1)
WAYS: dict[str, tuple[Scene, tuple[str, ...]]] = {
    "Leaving": ("patch_gate", ("q",)),
    "Help": ("patch_gate", ("2", "question_mark")),
    "Dialogue": ("patch_gate", ("2", "m")),
    "Page": ("patch_gate", ("2", "w")),
    "Files": ("patch_gate", ("3", "t")),
    "Form": ("patch_gate", ("3", "u")),
    "Narrow": ("patch_gate", ("4", "e")),
    "Across": ("patch_gate", ("4", "enter", "c")),
    "Samples": ("patch_gate", ("5", "t")),
    "Overlays": ("patch_gate", ("5", "o")),
    "Ledger": ("patch_gate", ("6", "d")),
    "Blame": ("patch_gate", ("6", "g", "B")),
    "Naming": ("patch_gate", ("6", "g", "o")),
    "NewRun": ("patch_gate", ("1", "n")),
    "Confirm": ("patch_gate", ("1", "S")),
    "Revive": ("done", ("6", "G", "u")),
}
"""How each is opened; one that is not named here fails the test."""


def laid_over(kind: type[Any] = Over) -> set[str]:
    """Of the package: a test may have one of its own."""
    found = {name for one in kind.__subclasses__() for name in {one.__name__, *laid_over(one)}}
    return found - {one.__name__ for one in kind.__subclasses__() if not one.__module__.startswith("sia_tui.")}


def dirty(root: Path, scene: Scene) -> tuple[RunPaths, SiaApp]:
    paths = soiled_run(root / "runs" / "r", scene)
    sent = ({"role": "system", "text": HOSTILE}, {"role": HOSTILE, "text": "页" * 200})
    with RunStore(paths.db) as store:
        store.record_call(CALL, 2, sent, ({"role": "call", "name": HOSTILE, "text": HOSTILE},), b"[]")
    still = moment(paths)
    place = Place(Workspace(root))
    return paths, SiaApp(
        paths, lambda kind, body: Answer(False, HOSTILE), lambda: Answer(False, HOSTILE), lambda: still, place=place
    )


def test_every_dialogue_has_a_way_to_it() -> None:
    for module in pkgutil.iter_modules(screens.__path__, f"{screens.__name__}."):
        importlib.import_module(module.name)
    assert laid_over() == set(WAYS)


@pytest.mark.parametrize("scene", ["patch_gate", "done"])
async def test_each_is_reached_and_shows_no_word_but_as_a_word(tmp_path: Path, scene: Scene) -> None:
    paths, app = dirty(tmp_path, scene)
    with hold(paths.lock):
        async with app.run_test(size=(120, 40)) as pilot:
            await loaded(pilot)
            await until(pilot, lambda: app.view.alive)
            seen: dict[str, list[str]] = {}
            for name, (where, keys) in WAYS.items():
                if where != scene:
                    continue
                for key in keys:
                    await pilot.press(key)
                    await settle(pilot)
                assert type(app.screen).__name__ == name, text(app)
                await app.workers.wait_for_complete()
                await pilot.pause(0.1)
                seen |= {name: steering(text(app))} if steering(text(app)) else {}
                app.pop_screen()
                await pilot.pause()
            assert seen == {}


KEYS = {"question_mark": "?", "enter": "\r"}
PANES = {"1": "RUNS", "2": "GENERATIONS", "3": "Enter never approves", "4": "outcome", "5": "samples", "6": "revive"}
TITLES = {
    "Leaving": "leave?",
    "Files": "FILES of the diff",
    "Narrow": "SCORE AND FAILURE",
    "Samples": "SAMPLES of",
    "Ledger": "DECISIONS",
    "Blame": "WHO WROTE",
    "NewRun": "new run",
}


@pytest.mark.long
def test_a_real_terminal_gets_no_byte_of_them_and_their_markup_as_it_stands(tmp_path: Path) -> None:
    paths = soiled_run(Workspace(tmp_path).runs / "r", "patch_gate")
    with hold(paths.lock), open_window(tmp_path, "attach", "r") as terminal:
        terminal.see("GENERATIONS")
        for name, (where, keys) in WAYS.items():
            if where != "patch_gate":
                continue
            for key in keys:
                terminal.press(KEYS.get(key, key))
                terminal.see(PANES.get(key, ""))
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
    seen = [terminal.screen()]
    end = time.monotonic() + 5.0
    while len(seen) < 5 or (len(set(seen[-4:])) > 1 and time.monotonic() < end):
        seen.append(terminal.screen())
    return seen[-1]
