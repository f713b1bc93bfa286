"""Does each algorithm learn? A bandit whose first token pays when it is one of four, three seeds, on the nano architecture.

    python -m tests.benchmarks.bench_algorithms --seeds 0 1 2

Each training is a real trainer process asked the way the engine asks it. Pay is the mean over fresh samples at temperature
1, before and after; the goal is from at most 0.3 to at least 0.7 within the steps stated. Exit status 1 if one misses it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sia_tui.core.plans import ALGORITHMS
from sia_tui.weights.protocol import Need, Trained
from tests.policy.tiny import make_model
from tests.weights.bandit import Policy, job, plan, run

START, GOAL = 0.3, 0.7
STEPS = 40
PLANS: dict[str, dict[str, Any]] = {
    "dpo": {"kl": 0.05, "samples": 16},
    "best_of_n": {"samples": 16},
    "ppo": {"value_warmup": 3},
    "reinforce_kl": {"kl": 0.01},
}
"""What differs from the shared plan below."""


def pays(token: int) -> float:
    return float(token % 4 == 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=list(ALGORITHMS))
    options = parser.parse_args()
    missed = 0
    print("| algorithm | seed | pay before | after | steps | s |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="sia-algorithms-") as folder:
        for seed in options.seeds:
            model = make_model(Path(folder) / f"model-{seed}", hidden=192, layers=2, seed=seed)
            for name in options.algorithms:
                missed += not learned(name, seed, model, Path(folder) / f"{name}-{seed}")
    return 1 if missed else 0


def learned(name: str, seed: int, model: Path, folder: Path) -> bool:
    """Train once and print a row; whether the goal was reached."""
    settings = {"algorithm": name, "steps": STEPS, "seed": seed, "samples": 8, "cases_per_step": 16, "cases": 48}
    settings |= {"eval_every": 10, "patience": 9, "learning_rate": 0.005, "rank": 32, "alpha": 64}
    asked = job(model, folder, plan(**settings | PLANS.get(name, {})))
    policy, began = Policy(model), time.monotonic()
    heard = run(asked, policy, reward=pays)
    seconds = time.monotonic() - began
    if not isinstance(heard.end, Trained):
        print(f"| {name} | {seed} | failed: {heard.end} | | | |", flush=True)
        return False
    before, after = (pay(policy, where, asked.held_out) for where in (None, asked.out))
    print(f"| {name} | {seed} | {before:.2f} | {after:.2f} | {heard.end.best_step} | {seconds:.0f} |", flush=True)
    return before <= START and after >= GOAL


def pay(policy: Policy, adapter: Path | None, cases: tuple[str, ...]) -> float:
    """Mean pay of fresh samples on cases that nothing was learned from."""
    need = Need(id=0, adapter=adapter, step=999, purpose="train", cases=cases, samples=64)
    found = policy.roll(need, pays)
    return sum(rollout.reward for rollout in found) / len(found)


if __name__ == "__main__":
    sys.exit(main())
