"""What leaves the window beside its panes: notices, the clipboard, the terminal's title."""

from __future__ import annotations

import base64
import html
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual import events

from sia_tui.core.text import clean
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.app import SiaApp
from sia_tui.tui.past import commands, entries
from tests.tui.opened import loaded, opened, text, until
from tests.tui.runs import Scene
from tests.tui.test_hostile import steering
from tests.tui.writer import HOSTILE

MARKUP = "[red]x[/] [link=https://a.example]y[/link] [@click=app.quit]z[/]"


@pytest.fixture
def app(scenes: Callable[[Scene], RunPaths]) -> SiaApp:
    return opened(scenes("done"))


async def test_a_notice_is_text_whoever_gives_it(app: SiaApp) -> None:
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await loaded(pilot)
        app.notify(MARKUP + HOSTILE, title=HOSTILE, markup=True)
        app.screen.notify(f"[bold]{HOSTILE}", markup=True)
        await until(pilot, lambda: "[@click=app.quit]z[/]" in text(app) and "[bold]␛" in text(app))
        assert steering(text(app)) == [] and "[red]x[/] [link=https://a.example]y[/link]" in text(app)


async def test_what_the_framework_says_in_markup_is_said_plainly(app: SiaApp, tmp_path: Path) -> None:
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await loaded(pilot)
        await app.run_action("help_quit")
        app.post_message(events.DeliveryComplete("k", tmp_path / "a.svg", "screenshot"))
        await until(pilot, lambda: "q leaves" in text(app) and "saved as" in text(app))
        said = " ".join(one.message for one in app._notifications)
        assert "[" not in said and str(tmp_path / "a.svg") in said and "Press" not in said


async def test_what_is_copied_and_the_title_are_cleaned(app: SiaApp, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await loaded(pilot)
        assert app._driver is not None
        monkeypatch.setattr(app._driver, "write", written.append)
        monkeypatch.setattr(SiaApp, "is_headless", property(lambda self: False))
        app.copy_to_clipboard("a\nb" + HOSTILE)
        app._entitle(f"run {HOSTILE}")
        monkeypatch.undo()
    copied, title = written
    assert copied.startswith("\x1b]52;c;") and copied.endswith("\x07")
    pasted = base64.b64decode(copied[7:-1]).decode()
    assert pasted == "a\nb" + clean(HOSTILE)
    assert title.startswith("\x1b[22;0t\x1b]0;run ") and title.endswith("\x07")
    inside = title.removeprefix("\x1b[22;0t\x1b]0;").removesuffix("\x07")
    assert clean(inside) == inside and "\n" not in inside


async def test_a_name_with_a_line_break_is_no_second_command(app: SiaApp) -> None:
    async with app.run_test() as pilot:
        await loaded(pilot)
        entry = next(one for one in entries(app.view.state) if one.generation is not None)
    typed = commands("r\n touch x; $(touch y)\x1b[2J", entry)
    for one in typed:
        assert clean(one) == one and "\n" not in one
        assert shlex.split(one)[2] == "r touch x; $(touch y)␛[2J"
    assert commands("r", entry)[0] == f"sia-tui rollback r {entry.name}"


async def test_a_picture_gives_wide_characters_their_cells(app: SiaApp) -> None:
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await loaded(pilot)
        app.notify("罪名 charges")
        await until(pilot, lambda: "罪名 charges" in text(app))
        drawn = app.export_screenshot()
    lengths = {found[2]: float(found[1]) for found in re.finditer(r'textLength="([\d.]+)"[^>]*>([^<]*)</text>', drawn)}
    cell = lengths["│"]
    [(said, length)] = [(html.unescape(said), length) for said, length in lengths.items() if "罪名" in said]
    assert length == pytest.approx(cell * cell_len(said)) != pytest.approx(cell * len(said))
