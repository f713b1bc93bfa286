"""What the live and the curves pane look like, and what is laid over panes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from sia_tui.store.lock import hold
from sia_tui.tui.verdicts import SETTLE_S
from sia_tui.tui.widgets.curve import Curve
from tests.tui.opened import loaded, opened, until
from tests.tui.runs import Scene, make_run

LOOKS = [("sia", (120, 40)), ("sia-light", (80, 24))]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as entered:
        yield entered


def scene(
    root: Path, stack: ExitStack, name: Scene, theme: str, keys: tuple[str, ...]
) -> tuple[Any, Callable[[Pilot[Any]], Any]]:
    """The window on a run in this scene with a living engine, and what to do before it is looked at."""
    paths = make_run(root / "sql-repair-07", name)
    if name not in ("fresh", "done"):
        stack.enter_context(hold(paths.lock))
    app = opened(paths, theme=theme)

    async def before(pilot: Pilot[Any]) -> None:
        await loaded(pilot)
        await until(pilot, lambda: app.view.alive or name in ("fresh", "done"))
        await pilot.press(*keys)
        await pilot.pause()
        await until(pilot, lambda: all(curve.settled for curve in app.query(Curve) if curve.is_on_screen))
        await pilot.pause(0.1)

    return app, before


@pytest.mark.parametrize(("theme", "size"), LOOKS, ids=str)
@pytest.mark.parametrize("name", ["training", "cluster", "plan_gate", "done", "fresh"])
def test_live(
    tmp_path: Path, stack: ExitStack, snap_compare: Any, name: Scene, theme: str, size: tuple[int, int]
) -> None:
    app, before = scene(tmp_path, stack, name, theme, ())
    assert snap_compare(app, terminal_size=size, run_before=before)


@pytest.mark.parametrize(("theme", "size"), LOOKS, ids=str)
@pytest.mark.parametrize("name", ["training", "patch_gate", "plan_gate"])
def test_curves(
    tmp_path: Path, stack: ExitStack, snap_compare: Any, name: Scene, theme: str, size: tuple[int, int]
) -> None:
    app, before = scene(tmp_path, stack, name, theme, ("5",))
    assert snap_compare(app, terminal_size=size, run_before=before)


@pytest.mark.parametrize(("theme", "size"), LOOKS, ids=str)
@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("training", ("question_mark",)),
        ("patch_gate", ("3", "t")),
        ("patch_gate", ("3", "u")),
        ("plan_gate", ("q",)),
    ],
    ids=["help", "files", "contract", "leaving"],
)
def test_laid_over(
    tmp_path: Path,
    stack: ExitStack,
    snap_compare: Any,
    name: Scene,
    keys: tuple[str, ...],
    theme: str,
    size: tuple[int, int],
) -> None:
    *there, last = keys
    app, before = scene(tmp_path, stack, name, theme, tuple(there))

    async def opened_over(pilot: Pilot[Any]) -> None:
        await before(pilot)
        await pilot.pause(SETTLE_S)
        await pilot.press(last)
        await until(pilot, lambda: len(app.screen_stack) > 1)
        for asked in app.screen.query(Input):
            asked.cursor_blink = False
        await app.workers.wait_for_complete()
        await pilot.pause(0.3)

    assert snap_compare(app, terminal_size=size, run_before=opened_over)
