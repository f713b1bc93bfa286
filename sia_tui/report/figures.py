"""The pictures of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sia_tui.core.episodes import Split
from sia_tui.core.state import Generation, State
from sia_tui.core.stats import Estimate
from sia_tui.report.blocks import Figure, Table
from sia_tui.report.svg import Chart, Point, Series, draw
from sia_tui.report.words import interval, share
from sia_tui.store.drawn import Drawn
from sia_tui.store.reader import Metrics


def generations(state: State, drawn: Drawn | None = None) -> Figure | None:
    """Dev by generation beside the null baselines, hidden once the run is over, and, where it was measured, what drawing alone
    comes to. None before anything is measured."""
    dev = _measured(state, "dev", "dev, 95 % interval", lambda made: made.kept is not False)
    if not dev.points:
        return None
    audit = [_measured(state, "hidden", "hidden", lambda made: True, labels=False)] if state.over else []
    nulls = sorted((state.baselines_dev or {}).items())
    last = state.generations[-1].index
    alone = [_alone(last + 1, drawn.dev)] if drawn and drawn.dev else []
    series = [dev, *(one for one in (*audit, *alone) if one.points)]
    svg = draw(Chart(series, nulls, lambda index: f"g{index}" if index <= last else "no step"))
    rows = [_row(state, made) for made in state.generations if "dev" in made.results]
    rows += [(f"null: {name}", share(mean), "", "", "") for name, mean in nulls]
    title = "Mean reward on dev by generation. A hollow mark was rolled back; dashed: baselines without a policy."
    if drawn and drawn.dev:
        rows.append((f"best of {drawn.rollouts}", share(drawn.dev.mean), interval(drawn.dev.lo, drawn.dev.hi), "", ""))
        title += " Best of N: as many rollouts as the run's, from generation 0, with no step made."
    return Figure(title, svg, Table(("", "dev", "95 %", "hidden", ""), rows))


def _alone(at: int, found: Estimate) -> Series:
    return Series("best of N", [Point(at, found.mean, found.lo, found.hi)], line=False, labels=True)


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
