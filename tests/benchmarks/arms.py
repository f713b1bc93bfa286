"""What each lever gains alone and both together, over seeds: the table in the README.

    python -m tests.benchmarks.arms --config configs/lawbench-nano.yaml --seeds 0 1 2

One run an arm and seed, in one workspace; stopped and started again it goes on where it was. The seed is that of the
splits, of the nano policy and of the run. Only the arm with both levers opens test, once a seed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from sia_tui.agents.diagnosis import charges_shown
from sia_tui.agents.protocol import Reading
from sia_tui.config import load_config
from sia_tui.engine.tasks import open_task
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import Workspace

ENDED = ("done", "stopped")
ARMS = {"harness": ("harness",), "weights": ("weights",), "both": ("harness", "weights")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/lawbench-nano.yaml"))
    parser.add_argument("--workspace", default=".sia-arms")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=["both", "harness", "weights"])
    parser.add_argument("--table", action="store_true", help="only print the table of what has ended so far")
    options = parser.parse_args()
    os.environ["SIA_WORKSPACE"] = options.workspace
    for arm in options.arms if not options.table else ():
        for seed in options.seeds:
            carry_out(options.config, arm, seed, open_test=arm == "both")
    print(table([(arm, seed) for arm in options.arms for seed in options.seeds], options.config.stem))


def carry_out(config: Path, arm: str, seed: int, open_test: bool = False) -> None:
    name = run_name(config.stem, arm, seed)
    settings = {
        "seed": seed,
        "task.seed": seed,
        "policy.recipe.seed": seed,
        "agents.levers": json.dumps(ARMS[arm]),
        "evaluate.open_test": json.dumps(open_test),
    }
    bring_to_its_end(name, ["run", str(config), "--name", name, "--gate", "auto", "--headless", *overrides(settings)])


def bring_to_its_end(name: str, begin: list[str]) -> dict[str, Any]:
    """Begin a run with that command, or go on with it; one that has ended is left as it is. Returns what `show` says.

    Raises CalledProcessError when the run fails: it can be gone on with.
    """
    found = shown(name)
    if found is None:
        _sia(begin)
        found = shown(name)
    if found is None or found["status"] not in ENDED:
        _sia(["resume", name, "--headless"])
    return shown(name) or {}


def overrides(settings: dict[str, Any]) -> list[str]:
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


def _sia(command: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "sia_tui", *command], check=True, stdin=subprocess.DEVNULL)


def run_name(config: str, arm: str, seed: int) -> str:
    return f"{config}-{arm}-{seed}"


def shown(name: str) -> dict[str, Any] | None:
    asked = subprocess.run(
        [sys.executable, "-m", "sia_tui", "show", name, "--json"], capture_output=True, text=True, check=False
    )
    return dict(json.loads(asked.stdout)) if asked.returncode == 0 else None


def table(cells: list[tuple[str, int]], config: str) -> str:
    lines = [
        "| arm | seed | kept: harness, weights | dev g0 | dev [95 %] | hidden [95 %] | test [95 %] | search alone, dev | min |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for arm, seed in cells:
        found = shown(run_name(config, arm, seed))
        if found and found["status"] in ENDED:
            lines.append(row(arm, seed, found))
    return "\n".join(lines)


def row(arm: str, seed: int, found: dict[str, Any]) -> str:
    best, first = found["generations"][found["incumbent"]], found["generations"][0]
    kept = [g["lever"] for g in found["generations"] if g["kept"] and g["lever"] != "seed"]
    cells = [
        arm,
        str(seed),
        f"{kept.count('harness')}, {kept.count('weights')}",
        interval(first["dev"]),
        interval(best["dev"]),
        interval(best["hidden"]),
        interval(found["test"]),
        search_alone(found),
        f"{found['cost']['wall_s'] / 60:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def search_alone(found: dict[str, Any]) -> str:
    """Null: what the final harness' search ranks first on dev, taken for the answer without asking the policy."""
    workspace = Workspace.locate(None)
    paths = workspace.run(found["run"])
    task = open_task(workspace, load_config(paths.config), print)
    reader = RunReader(paths.db)
    key = reader.state().generations[found["incumbent"]].key
    shown = [
        (charges_shown(Reading(episode, attempt, score))[:1], task.gold[attempt.case.id])
        for episode, attempt, score in reader.trajectories(key, "dev")
    ]
    if not any(first for first, _ in shown):
        return "–"
    return f"{100 * sum(first == [gold] for first, gold in shown) / len(shown):.1f}"


def interval(found: dict[str, Any] | None) -> str:
    if not found:
        return "–"
    lo, hi = found["ci95"]
    return f"{100 * found['mean']:.1f} [{100 * lo:.1f}, {100 * hi:.1f}]"


if __name__ == "__main__":
    main()
