"""Each algorithm on LawBench from one start at one budget of rollouts: dev before and after. A table for docs/benchmarks.md.

    python -m tests.benchmarks.bench_lawbench_algorithms --workspace .sia-algorithms

The default run first, up to its first weights update. Then a branch an algorithm, which may make one step and train by that
alone: from the generation before that update (the base, which picks blindly) and from the one it made (cloned). 2,560
rollouts each: 20 steps of 16 cases x 8, or 320 cases x 8 at once. Stopped and started again it goes on where it was; test
stays sealed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from sia_tui.core.plans import ALGORITHMS, OFFLINE
from tests.benchmarks.arms import bring_to_its_end, interval, overrides, shown

START = "start"
SEALED = {"evaluate.open_test": "false", "evaluate.hidden": 50, "gate.policy": "auto"}
"""Hidden is another question: a few cases are enough for a run to go on."""
ONE_STEP = {"budget.steps": 1, "agents.levers": '["weights"]'}
CASES = 320
"""Of the offline algorithms: as many rollouts as the others make in 20 steps of 16 cases."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/lawbench-nano.yaml"))
    parser.add_argument("--workspace", default=".sia-algorithms")
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    parser.add_argument("--table", action="store_true", help="only print the table of what has ended so far")
    options = parser.parse_args()
    os.environ["SIA_WORKSPACE"] = options.workspace
    begin = ["run", str(options.config), "--name", START, "--headless", *overrides(SEALED | {"budget.steps": 2})]
    found = shown(START) if options.table else bring_to_its_end(START, begin)
    generations = (found or {"generations": []})["generations"]
    cloned = next((g["index"] for g in generations if g["lever"] == "weights"), None)
    if cloned is None:
        sys.exit(
            f"{START} made no weights update to branch at: see sia-tui show {START} --workspace {options.workspace}"
        )
    arms = [(start, algorithm) for start in (cloned - 1, cloned) for algorithm in options.algorithms]
    for start, algorithm in arms if not options.table else ():
        try:
            bring_to_its_end(_name(start, algorithm), _branch(start, algorithm))
        except subprocess.CalledProcessError as failure:
            print(f"{_name(start, algorithm)} failed with status {failure.returncode}", flush=True)
    print(table(arms, cloned))


def _name(start: int, algorithm: str) -> str:
    return f"g{start}-{algorithm.replace('_', '-')}"


def _branch(start: int, algorithm: str) -> list[str]:
    settings = SEALED | ONE_STEP | {"agents.algorithms": json.dumps([algorithm])}
    if algorithm in OFFLINE:
        settings[f"weights.algorithms.{algorithm}.cases"] = CASES
    return ["branch", START, f"g{start}", "--name", _name(start, algorithm), *overrides(settings)]


def table(arms: list[tuple[int, str]], cloned: int) -> str:
    lines = [
        "| from | algorithm | dev | gain, paired | | held out of train | steps | min |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for start, algorithm in arms:
        found = shown(_name(start, algorithm))
        if found and found["generations"]:
            cells = (f"g{start}, {'cloned' if start == cloned else 'base'}", algorithm, *_outcome(found))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _outcome(found: dict[str, Any]) -> tuple[str, ...]:
    """Of the run's one training; of one that was refused the reason."""
    made = [g for g in found["generations"] if g["training"]]
    if not made:
        why = "; ".join(refused["reason"] for refused in found["refused"]) or found["status"]
        return interval(found["generations"][0]["dev"]), "–", why, "–", "–", "–"
    after, before = made[0], found["generations"][0]
    trained, gain = after["training"], after["gain"]
    return (
        f"{100 * before['dev']['mean']:.1f} → {interval(after['dev'])}",
        f"{100 * gain['gain']:+.1f} [{100 * gain['ci95'][0]:+.1f}, {100 * gain['ci95'][1]:+.1f}]",
        "kept" if after["kept"] else "rolled back",
        f"{100 * trained['held_out_before']:.0f} → {100 * trained['held_out_after']:.0f}",
        f"{trained['best_step']} of {trained['steps']}",
        f"{trained['seconds'] / 60:.1f}",
    )


if __name__ == "__main__":
    main()
