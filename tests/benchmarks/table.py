"""Three tasks by what each lever reaches, with what drawing alone comes to and what needs no policy: the README's table.

    python -m tests.benchmarks.table [--workspace .sia-table] [--seed 0] [--tasks lawbench trimul denoise] [--table]

One run an arm by the quick configs, then best-of-N at the cost of one of them (`best_of_n`), in one workspace. Stopped and
started again it goes on where it was; test stays sealed. Minutes are the engine's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sia_tui.core.stats import Estimate
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", default=".sia-table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--table", action="store_true", help="only print the table of what has ended so far")
    options = parser.parse_args()
    os.environ["SIA_WORKSPACE"] = options.workspace
    for task in options.tasks if not options.table else ():
        for arm in ARMS:
            carry_out(config(task), arm, options.seed, open_test=False)
    print("\n".join(table(options.tasks, options.seed, drawn=not options.table)))


def config(task: str) -> Path:
    return CONFIGS / f"{task}-nano-quick.yaml"


def table(tasks: Sequence[str], seed: int, drawn: bool) -> Iterator[str]:
    yield "| task | arm | kept: harness, weights | dev [95 %] | hidden [95 %] | rollouts | min |"
    yield "|---|---|---|---|---|---|---|"
    for task in tasks:
        found = {arm: shown(run_name(config(task).stem, arm, seed)) for arm in ARMS}
        ended = {arm: run for arm, run in found.items() if run and run["status"] in ENDED}
        yield from _rows(task, seed, ended, drawn)


def _rows(task: str, seed: int, runs: dict[str, dict[str, Any]], drawn: bool) -> Iterator[str]:
    for run in list(runs.values())[:1]:
        first = run["generations"][0]
        yield _row(task, "generation 0", "", interval(first["dev"]), interval(first["hidden"]), "", "")
    for arm, run in runs.items():
        best = run["generations"][run["incumbent"]]
        kept = [made["lever"] for made in run["generations"][1:] if made["kept"]]
        name = run_name(config(task).stem, arm, seed)
        yield _row(
            task,
            f"{arm} only" if arm != "both" else "**both levers**",
            f"{kept.count('harness')}, {kept.count('weights')}",
            interval(best["dev"]),
            interval(best["hidden"]),
            f"{spent(name):,}",
            f"{run['cost']['wall_s'] / 60:.1f}",
        )
    arm = AT_THE_COST_OF[task]
    if arm in runs and drawn:
        found = asyncio.run(draw(run_name(config(task).stem, arm, seed)))
        dev, hidden = (_interval(found.results.get(split)) for split in ("dev", "hidden"))
        yield _row(task, f"best of N, at the cost of {arm}", "", dev, hidden, f"{found.rollouts:,}", "")
    for run in list(runs.values())[:1]:
        nulls = [f"{name} {100 * found['dev']:.1f}" for name, found in run["null_baselines"].items()]
        yield _row(task, "nulls", "", ", ".join(nulls), "", "", "")
    yield _row(task, "published", "", PUBLISHED[task], "", "", "")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _interval(found: Estimate | None) -> str:
    return "–" if found is None else interval({"mean": found.mean, "ci95": (found.lo, found.hi)})


if __name__ == "__main__":
    main()
