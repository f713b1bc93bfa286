"""The pictures of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sia_tui.core.episodes import Split
from sia_tui.core.state import Generation, State
from sia_tui.report.blocks import Figure, Table
from sia_tui.report.svg import Chart, Point, Series, draw
from sia_tui.report.words import interval, share
from sia_tui.store.reader import Metrics


def generations(state: State) -> Figure | None:
    """Dev by generation beside the null baselines, and hidden once the run is over. None before anything is measured."""
    dev = _measured(state, "dev", "dev, 95 % interval", lambda made: made.kept is not False)
    if not dev.points:
        return None
    audit = [_measured(state, "hidden", "hidden", lambda made: True, labels=False)] if state.over else []
    nulls = sorted((state.baselines_dev or {}).items())
    svg = draw(Chart([dev, *(one for one in audit if one.points)], nulls, lambda index: f"g{index}"))
    rows = [_row(state, made) for made in state.generations if "dev" in made.results]
    rows += [(f"null: {name}", share(mean), "", "", "") for name, mean in nulls]
    title = "Mean reward on dev by generation. A hollow mark was rolled back; dashed: baselines without a policy."
    return Figure(title, svg, Table(("", "dev", "95 %", "hidden", ""), rows))


def _measured(state: State, split: Split, name: str, full: Callable[[Generation], bool], labels: bool = True) -> Series:
    found = [(made, made.results[split]) for made in state.generations if split in made.results]
    points = [Point(made.index, result.mean, result.lo, result.hi, full(made)) for made, result in found]
    return Series(name, points, line=False, labels=labels)


def _row(state: State, made: Generation) -> tuple[str, ...]:
    dev, hidden = made.results["dev"], made.results.get("hidden") if state.over else None
    fate = {None: "not decided", True: "kept", False: "rolled back"}[made.kept]
    return f"g{made.index}", share(dev.mean), interval(dev.lo, dev.hi), share(hidden.mean) if hidden else "–", fate


def training(title: str, rows: Sequence[Metrics]) -> Figure | None:
    """Reward and held-out reward over the steps of a training. None before its first step."""
    names = {"reward": "reward", "held_out": "held out"}
    found = {name: [(row.step, row.values[name]) for row in rows if name in row.values] for name in names}
    series = [Series(names[name], [Point(*at) for at in points]) for name, points in found.items() if points]
    if not series:
        return None
    told = [
        (str(row.step), *(share(row.values[name]) if name in row.values else "–" for name in names))
        for row in rows
        if names.keys() & row.values.keys()
    ]
    return Figure(title, draw(Chart(series)), Table(("step", *names.values()), told))
