"""The window on a run, as tests open it: a still clock, commands answered on the spot."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from textual.app import App
from textual.pilot import Pilot

from sia_tui.store.reader import Answer
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.app import SiaApp
from sia_tui.tui.manners import Manners
from tests.tui.runs import moment

Asked = list[tuple[str, dict[str, Any]]]


def opened(paths: RunPaths, asked: Asked | None = None, started: list[str] | None = None, theme: str = "sia") -> SiaApp:
    """A window whose commands are written down in `asked` and answered yes."""
    still = moment(paths)

    def ask(kind: str, body: Mapping[str, Any]) -> Answer:
        if asked is not None:
            asked.append((kind, {name: value for name, value in body.items() if name != "seen"}))
        return Answer(True, f"{kind}: done")

    def resume() -> Answer:
        if started is not None:
            started.append(paths.name)
        return Answer(True, "engine started")

    app = SiaApp(paths, ask, resume, lambda: still, manners=Manners(theme=theme))
    app.animation_level = "none"
    return app


async def until(pilot: Pilot[Any], holds: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        await pilot.pause(0.02)


def whole(app: App[Any]) -> bool:
    """Whether all that is read of a run has been, its config last."""
    assert isinstance(app, SiaApp)
    return app.view.config is not None or app.view.error is not None


async def loaded(pilot: Pilot[Any]) -> SiaApp:
    """The window once the run is on show."""
    app = pilot.app
    assert isinstance(app, SiaApp)
    await until(pilot, lambda: whole(app))
    await pilot.pause()
    return app


def text(app: SiaApp) -> str:
    """What is on the screen."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())
