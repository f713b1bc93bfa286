"""Pictures of the window, taken by itself while a real run goes on behind it: `make pictures`.

Starts a run, opens the window without a terminal, decides at its gates by the keys a person would press, and saves what
is on the screen at the moments worth showing. Nothing in them is made up.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from sia_tui.cli.background import spawn
from sia_tui.cli.window import window
from sia_tui.config import load_config
from sia_tui.core.events import RunCreated
from sia_tui.store.workspace import Workspace
from sia_tui.store.writer import RunStore
from sia_tui.tui.app import SiaApp
from sia_tui.tui.view import View

HERE = Path(__file__).parent
SIZE = (120, 40)
READ_S = 1.5
"""A gate is looked at for longer than the half second in which keys are dropped."""
MOST_S = 1800.0
STEPS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=HERE.parent / "configs" / "lawbench-nano.yaml")
    parser.add_argument("--name", default=time.strftime("pictures-%H%M%S"))
    options = parser.parse_args()
    asyncio.run(take(options.config, options.name))


async def take(path: Path, name: str) -> None:
    workspace = Workspace.locate(None)
    workspace.create()
    config = load_config(path, [f"budget.steps={STEPS}", "gate.policy=ask", "evaluate.open_test=false"])
    paths = workspace.run(name)
    paths.root.mkdir(parents=True)
    paths.config.write_text(config.dump())
    with RunStore(paths.db) as store:
        store.record(RunCreated(name, config.task.name, config.hash))
    spawn(workspace, paths)
    app = window(workspace, paths)
    async with app.run_test(size=SIZE) as pilot:
        await decide(app, pilot, "gate-harness")
        await decide(app, pilot, "gate-weights")
        await pilot.press("2")
        await until(app, pilot, lambda view: any(len(found) > 12 for found in view.metrics.values()))
        await save(app, pilot, "live")
        await pilot.press("4")
        await save(app, pilot, "rollouts")
        for _ in range(STEPS - 2):
            await decide(app, pilot, None)
        await pilot.press("5")
        await until(app, pilot, lambda view: view.state.status == "done")
        await save(app, pilot, "curves")
        await pilot.press("6", "G")
        await save(app, pilot, "history")


async def decide(app: SiaApp, pilot: Pilot[None], picture: str | None) -> None:
    """Say yes at the next gate, after reading it."""
    answered = len([step for step in app.view.state.steps if step.verdicts])
    await until(app, pilot, lambda view: view.state.waiting is not None or view.state.status == "done")
    if app.view.state.waiting is None:
        return
    await pilot.press("3")
    await pilot.pause(READ_S)
    if picture:
        await save(app, pilot, picture)
    await pilot.press("a")
    await until(app, pilot, lambda view: len([step for step in view.state.steps if step.verdicts]) > answered)


async def until(app: SiaApp, pilot: Pilot[None], holds: Callable[[View], bool]) -> None:
    end = time.monotonic() + MOST_S
    while not holds(app.view):
        assert time.monotonic() < end, f"the run does not come to it: {app.view.progress}"
        await pilot.pause(0.2)


async def save(app: SiaApp, pilot: Pilot[None], name: str) -> None:
    await pilot.pause(READ_S)
    (HERE / f"{name}.svg").write_text(app.export_screenshot(title="sia-tui"), encoding="utf-8")
    print(f"docs/{name}.svg", flush=True)


if __name__ == "__main__":
    main()
