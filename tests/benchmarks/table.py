"""Three tasks by what each lever reaches, with what drawing alone comes to and what needs no policy: the README's table.

    python -m tests.benchmarks.table [--workspace .sia-table] [--seed 0] [--tasks lawbench trimul denoise] [--table]

One run an arm by the quick configs, then best-of-N at the cost of one of them (`best_of_n`), in one workspace. Stopped and
started again it goes on where it was; test stays sealed. Minutes are the engine's. Each task's table is also drawn, on one axis.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sia_tui.core.stats import Estimate
from sia_tui.report.svg import Chart, Point, Series
from sia_tui.report.svg import draw as draw_chart
from sia_tui.store.drawn import Drawn, read
from sia_tui.store.workspace import Workspace
from tests.benchmarks.arms import ARMS, ENDED, carry_out, interval, run_name, shown
from tests.benchmarks.best_of_n import draw, spent

TASKS = ("lawbench", "trimul", "denoise")
CONFIGS = Path("configs")
AT_THE_COST_OF = {"lawbench": "both", "trimul": "harness", "denoise": "harness"}
"""The arm that best-of-N may spend as much as: the cheapest that comes to what the loop reaches."""
PUBLISHED = {
    "lawbench": "initial → harness → both, test: 13.5 → 50.0 → 70.1",
    "trimul": "14 × on an H100, by 1,161 µs",
    "denoise": "mse_norm 4.8 → 24.1 → 28.9, real tissues",
}
"""By the SIA paper (arXiv 2605.27276), with gpt-oss-120b: other data, other machines."""
COMPARABLE = {"lawbench": (("paper: initial", 0.135), ("paper: harness", 0.5), ("paper: both", 0.701))}
"""What of it may stand on the axis: the same measure of the same data, if on test; no speed-up on an H100, no real tissues."""

Measured = dict[str, Any]
"""`mean` and `ci95`, as `show --json` has them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", default=".sia-table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--charts", type=Path, default=Path("docs"), help="folder of arms-TASK.svg")
    parser.add_argument("--table", action="store_true", help="only print the table of what has ended so far")
    options = parser.parse_args()
    os.environ["SIA_WORKSPACE"] = options.workspace
    for task in options.tasks if not options.table else ():
        for arm in ARMS:
            carry_out(config(task), arm, options.seed, open_test=False)
    for task in options.tasks:
        runs = ended(task, options.seed)
        rows = list(rows_of(task, options.seed, runs, drawn=not options.table))
        print("\n".join(table(task, rows, runs)), flush=True)
        if rows:
            options.charts.mkdir(parents=True, exist_ok=True)
            (options.charts / f"arms-{task}.svg").write_text(draw_chart(chart(task, rows, runs)), encoding="utf-8")


def config(task: str) -> Path:
    return CONFIGS / f"{task}-nano-quick.yaml"


@dataclass(frozen=True)
class Row:
    """Of the table, and a place of the chart."""

    name: str
    dev: Measured | None
    hidden: Measured | None
    kept: str = ""
    rollouts: str = ""
    minutes: str = ""

    def __str__(self) -> str:
        cells = (self.name, self.kept, interval(self.dev), interval(self.hidden), self.rollouts, self.minutes)
        return f"| {' | '.join(cells)} |"


def ended(task: str, seed: int) -> dict[str, dict[str, Any]]:
    """What `show` says of the arms that have ended."""
    found = {arm: shown(run_name(config(task).stem, arm, seed)) for arm in ARMS}
    return {arm: run for arm, run in found.items() if run and run["status"] in ENDED}


def table(task: str, rows: Sequence[Row], runs: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    yield f"| {task} | kept: harness, weights | dev [95 %] | hidden [95 %] | rollouts | min |"
    yield "|---|---|---|---|---|---|"
    yield from map(str, rows)
    told = ", ".join(f"{name} {100 * mean:.1f}" for name, mean in _nulls(runs))
    yield f"| nulls | | {told} | | | |"
    yield f"| published | | {PUBLISHED[task]} | | | |"
    yield ""


def rows_of(task: str, seed: int, runs: Mapping[str, dict[str, Any]], drawn: bool) -> Iterator[Row]:
    for run in list(runs.values())[:1]:
        first = run["generations"][0]
        yield Row("generation 0", first["dev"], first["hidden"])
    for arm, run in runs.items():
        best = run["generations"][run["incumbent"]]
        kept = [made["lever"] for made in run["generations"][1:] if made["kept"]]
        name = f"{arm} only" if arm != "both" else "both levers"
        levers = f"{kept.count('harness')}, {kept.count('weights')}"
        spent_on = f"{spent(run_name(config(task).stem, arm, seed)):,}"
        yield Row(name, best["dev"], best["hidden"], levers, spent_on, f"{run['cost']['wall_s'] / 60:.1f}")
    arm = AT_THE_COST_OF[task]
    if arm in runs and (found := _drawn(run_name(config(task).stem, arm, seed), drawn)):
        yield Row("best of N", _measured(found.dev), _measured(found.hidden), rollouts=f"{found.rollouts:,}")


def _drawn(run: str, draws: bool) -> Drawn | None:
    return asyncio.run(draw(run)) if draws else read(Workspace.locate(None).run(run).root)


def chart(task: str, rows: Sequence[Row], runs: Mapping[str, dict[str, Any]]) -> Chart:
    """All of the table on one axis, dev with its interval and hidden beside it."""
    dev, hidden = (
        [_point(at, found) for at, row in enumerate(rows) if (found := getattr(row, split))]
        for split in ("dev", "hidden")
    )
    series = [Series("dev, 95 %", dev, line=False, labels=True), Series("hidden", hidden, line=False)]
    return Chart(series, [*_nulls(runs), *COMPARABLE.get(task, ())], lambda at: rows[at].name)


def _point(at: int, found: Measured) -> Point:
    return Point(at, found["mean"], *found["ci95"])


def _nulls(runs: Mapping[str, dict[str, Any]]) -> list[tuple[str, float]]:
    return [(name, found["dev"]) for run in list(runs.values())[:1] for name, found in run["null_baselines"].items()]


def _measured(found: Estimate | None) -> Measured | None:
    return None if found is None else {"mean": found.mean, "ci95": (found.lo, found.hi)}


if __name__ == "__main__":
    main()
