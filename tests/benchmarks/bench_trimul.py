"""What random plans of the TriMul grammar come to, beside a naive kernel and BLAS on one thread, on train shapes.

    python -m tests.benchmarks.bench_trimul [--plans 120] [--seed 0] [--shapes 24]

Each plan on one shape, the shapes in turn, six pairs of calls with the naive kernel; BLAS on each shape once. Nothing is
chosen: test and dev are not looked at.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from random import Random

from sia_tui.harness.sandbox import choose, probe
from sia_tui.tasks.trimul.bench import Bench
from sia_tui.tasks.trimul.cases import make_cases, shape_of
from sia_tui.tasks.trimul.grammar import random_plan
from sia_tui.tasks.trimul.programs import place
from sia_tui.tasks.trimul.render_c import render
from tests.tasks.trimul.conftest import wall_at

SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plans", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shapes", type=int, default=24)
    options = parser.parse_args()
    cases = [case for case in make_cases(0, options.shapes, 1, 1, 2) if case.split == "train"]
    shapes = [shape_of(case.inputs) for case in cases]
    draw, wall = Random(options.seed), wall_at(choose("auto", probe()))
    with tempfile.TemporaryDirectory(prefix="trimul-") as name:
        folder = Path(name)
        theirs, ours = place(folder / "theirs", wall, False), place(folder / "ours", wall, True)
        with Bench(theirs, ours, folder / "one-at-a-time") as bench:
            null = {shape: timing.speedup for shape in shapes if (timing := bench.time_null(shape))}
            found = []
            for number in range(options.plans):
                shape = shapes[number % len(shapes)]
                found.append((bench.time(render(random_plan(draw), shape), shape).speedup, shape))
                if (number + 1) % 20 == 0:
                    print(f"{number + 1} of {options.plans}", flush=True)
    print(_row("over naive", [speedup for speedup, _ in found]))
    print(_row("over BLAS, same shape", [speedup / null[shape] for speedup, shape in found if shape in null]))
    print(f"BLAS over naive, geometric mean of {len(null)} shapes: {statistics.geometric_mean(null.values()):.2f}")


def _row(name: str, values: list[float]) -> str:
    ordered = sorted(values)
    places = [ordered[round(share * (len(ordered) - 1))] for share in SHARES]
    return f"| {name} | {' | '.join(f'{value:.2f}' for value in places)} |"


if __name__ == "__main__":
    main()
