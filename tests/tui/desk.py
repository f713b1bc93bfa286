"""The window opened on a run in a test: what it asks is written down and answered."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from textual.pilot import Pilot

from sia_tui.core.text import clean
from sia_tui.store.reader import Answer
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.app import SiaApp
from sia_tui.tui.manners import Manners
from tests.tui.opened import until, whole
from tests.tui.runs import moment

WIDE, SMALL = (120, 40), (80, 24)


class Engine:
    """Whoever answers the commands."""

    def __init__(self, ok: bool = True, message: str = "done") -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.seen: list[str] = []
        """What was on the screen, by digest, as each verdict says beside the rest."""
        self.answer = Answer(ok, message)

    def __call__(self, kind: str, body: Mapping[str, Any]) -> Answer:
        told = dict(body)
        self.seen += [told.pop("seen")] if "seen" in told else []
        self.asked.append((kind, told))
        return self.answer


def window_on(paths: RunPaths, engine: Engine | None = None, theme: str = "sia") -> SiaApp:
    at, manners = moment(paths), Manners(theme=theme)
    return SiaApp(paths, engine or Engine(), lambda: Answer(True, "started"), now=lambda: at, manners=manners)


@contextlib.asynccontextmanager
async def open_on(
    paths: RunPaths, pane: str, engine: Engine | None = None, size: tuple[int, int] = WIDE
) -> AsyncIterator[tuple[SiaApp, Pilot[None]]]:
    """The window with this pane (`gate`, `rollouts`, `history`) in sight and filled."""
    app = window_on(paths, engine)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: whole(app))
        app.action_pane(pane)
        await settle(pilot)
        yield app, pilot


async def settle(pilot: Pilot[None]) -> None:
    """Until the pane in sight is filled, no worker is left and what it brought is drawn."""
    app = pilot.app
    if isinstance(app, SiaApp):
        await until(pilot, lambda: app.here == "home" or app.here in app._shown)
    await pilot.pause(0.1)
    await pilot.app.workers.wait_for_complete()
    await pilot.pause(0.1)
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def screen_text(app: SiaApp) -> str:
    """What is on the screen, line by line. Fails on any character that could steer a terminal."""
    strips = app.screen._compositor.render_strips()
    lines = ["".join(segment.text for segment in strip if not segment.control) for strip in strips]
    for line in lines:
        assert clean(line) == line, f"{line!r} would steer a terminal"
    return "\n".join(lines)
