"""Pictures of the window: `make pictures` opens the recorded run that ships with the package (`sia-tui demo`) and saves what is
on the screen at the moments worth showing. The run was a real one; nothing in them is made up.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from sia_tui.cli.recording import unpack
from sia_tui.cli.replaying import DEMO
from sia_tui.tui.film import Mark
from sia_tui.tui.replay import Replay
from sia_tui.tui.replayed import ReplayApp
from sia_tui.tui.screens.gate import GatePane
from sia_tui.tui.view import View

HERE = Path(__file__).parent
SIZE = (120, 40)
MOST_S = 60.0
STEPS_IN = 13
"""Optimizer steps of a training that is looked at under way."""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sia-pictures-") as folder:
        _, paths = unpack(DEMO, Path(folder))
        replay = Replay(paths)
        asyncio.run(take(ReplayApp(paths, replay), replay))


async def take(app: ReplayApp, replay: Replay) -> None:
    async with app.run_test(size=SIZE) as pilot:
        replay.playing = False
        await first(app, pilot, replay, lambda view: _asks(view, trains=False))
        await save(app, pilot, "3", "gate-harness")
        await first(app, pilot, replay, lambda view: _asks(view, trains=True))
        await save(app, pilot, "3", "gate-weights")
        while not any(len(rows) > STEPS_IN for rows in app.view.metrics.values()):
            await at(app, pilot, replay, replay.at_s + 2.0)
        await save(app, pilot, "2", "live")
        await save(app, pilot, "4", "rollouts")
        await at(app, pilot, replay, replay.film.length_s)
        await save(app, pilot, "5", "curves")
        await pilot.press("6", "G")
        await save(app, pilot, "6", "history")


def _asks(view: View, trains: bool) -> bool:
    step = view.state.current
    return view.state.waiting is not None and step is not None and step.proposal.trains is trains


async def first(app: ReplayApp, pilot: Pilot[None], replay: Replay, holds: Callable[[View], bool]) -> None:
    """Go to the first gate at which it holds."""
    gates: list[Mark] = [mark for mark in replay.film.marks if mark.kind == "gate"]
    for gate in gates:
        await at(app, pilot, replay, gate.at_s)
        if holds(app.view):
            return
    raise SystemExit("the recorded run has no such gate")


async def at(app: ReplayApp, pilot: Pilot[None], replay: Replay, at_s: float) -> None:
    """Until the window shows this moment."""
    before, end = app.view, time.monotonic() + MOST_S
    moved = replay.film.moment(at_s) != replay.moment()
    replay.seek(at_s)
    while moved and app.view is before:
        assert time.monotonic() < end, "the window does not follow"
        await pilot.pause(0.1)
    await pilot.pause(0.3)


async def save(app: ReplayApp, pilot: Pilot[None], pane: str, name: str) -> None:
    await pilot.press(pane)
    await pilot.app.workers.wait_for_complete()
    end = time.monotonic() + MOST_S
    while pane == "3" and not app.query_one(GatePane).settled:
        assert time.monotonic() < end, "the gate is not laid out"
        await pilot.pause(0.1)
    await pilot.pause(1.0)
    (HERE / f"{name}.svg").write_text(app.export_screenshot(title="sia-tui"), encoding="utf-8")
    print(f"docs/{name}.svg", flush=True)


if __name__ == "__main__":
    main()
