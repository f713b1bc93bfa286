"""What plans of the denoising grammar can reach, beside nulls: chosen on train tissues, measured on dev.

    python -m tests.benchmarks.bench_denoise [--plans 200] [--seed 0] [--tissues 24] [--out denoise.json]

Uniformly random plans on one train tissue; those that earn there on four; the fifteen best on twelve. From the best, two
rounds of changing one word: every plan a word away on two tissues, the eight best on twelve. The finalists on all train
tissues. MAGIC is tuned on six train tissues. Dev is looked at once, for the plan and the nulls that train chose. Goal:
at least 20 % of mse_norm above the tuned MAGIC. One core.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from sia_tui.core.stats import estimate, paired_gain
from sia_tui.tasks.denoise.grammar import Plan, format_plan, neighbours, random_plan
from sia_tui.tasks.denoise.nulls import knn_smoothing, magic, no_denoising
from sia_tui.tasks.denoise.protocol import Counts, Matrix, judge
from sia_tui.tasks.denoise.render import render
from sia_tui.tasks.denoise.simulator import Tissue, tissues
from sia_tui.tasks.denoise.tuning import magic_with, tune

KEY = b"benchmark"
GOAL = 1.2
Denoise = Callable[[Counts], Matrix]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plans", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tissues", type=int, default=24)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    started = time.monotonic()
    train = tissues("train", KEY, options.tissues)
    drawn = screen(options.plans, options.seed, train[:4])
    best = climb(drawn, train)
    print(f"best plan on train ({mean(of(best), train):.3f}): {format_plan(best)}", flush=True)
    settings = tune(train[:6])
    print(f"MAGIC tuned on train: {settings}", flush=True)
    found = on_dev(
        {
            "none": no_denoising,
            "knn smoothing": knn_smoothing,
            "MAGIC": magic,
            "MAGIC tuned": magic_with(settings),
            "best plan": of(best),
        },
        tissues("dev", KEY, options.tissues),
    )
    print(f"{time.monotonic() - started:.0f} s")
    if options.out:
        told = {"plan": format_plan(best), "magic": str(settings), "dev": found}
        options.out.write_text(json.dumps(told, indent=1))


def of(plan: Plan) -> Denoise:
    names: dict[str, Any] = {}
    exec(render(plan), names)
    denoise: Denoise = names["denoise"]
    return denoise


def mean(denoise: Denoise, among: Sequence[Tissue]) -> float:
    return statistics.fmean(judge(one.train, one.test, denoise(one.train))["reward"] for one in among)


def screen(count: int, seed: int, among: Sequence[Tissue]) -> list[Plan]:
    """Random plans that earn on the first tissue, best first on all."""
    rng = Random(seed)
    first = among[0]
    plans = [random_plan(rng) for _ in range(count)]
    seconds: list[float] = []
    verdicts: list[dict[str, Any]] = []
    for plan in plans:
        began = time.monotonic()
        verdicts.append(judge(first.train, first.test, of(plan)(first.train)))
        seconds.append(time.monotonic() - began)
    rewards = [verdict["reward"] for verdict in verdicts]
    print(f"{count} random plans on one train tissue: {dict(Counter(str(v['failure']) for v in verdicts))}")
    print(f"reward {_spread(rewards)}; mse_norm {_spread([v['metrics']['mse_norm'] for v in verdicts])}")
    print(f"seconds a tissue: median {statistics.median(seconds):.2f}, worst {max(seconds):.2f}", flush=True)
    return best_of([plan for plan, reward in zip(plans, rewards, strict=True) if reward > 0], among)


def best_of(plans: Sequence[Plan], among: Sequence[Tissue]) -> list[Plan]:
    """The plans, best mean reward first."""
    scored = [(mean(of(plan), among), plan) for plan in plans]
    return [plan for _, plan in sorted(scored, key=lambda one: -one[0])]


def climb(drawn: Sequence[Plan], train: Sequence[Tissue], rounds: int = 2) -> Plan:
    """The best of the screened, then of plans a word away from it, by ever more train tissues."""
    finalists = best_of(drawn[:15], train[:12])[:1]
    print(
        f"best random plan on twelve ({mean(of(finalists[0]), train[:12]):.3f}): {format_plan(finalists[0])}",
        flush=True,
    )
    for _ in range(rounds):
        near = best_of(neighbours(finalists[-1]), train[12:14])
        finalists.append(best_of([finalists[-1], *near[:8]], train[:12])[0])
        print(f"a word away ({mean(of(finalists[-1]), train[:12]):.3f}): {format_plan(finalists[-1])}", flush=True)
    return best_of(finalists, train)[0]


def on_dev(rivals: dict[str, Denoise], dev: Sequence[Tissue]) -> dict[str, dict[str, Any]]:
    """Rewards and figures of each on every dev tissue, and the paired gain over the tuned MAGIC."""
    verdicts = {
        name: [judge(one.train, one.test, denoise(one.train)) for one in dev] for name, denoise in rivals.items()
    }
    rewards = {
        name: {one.name: v["reward"] for one, v in zip(dev, each, strict=True)} for name, each in verdicts.items()
    }
    print("| dev | reward [95 %] | over tuned MAGIC, paired | mse_norm | poisson_norm | likelihood_norm | failures |")
    print("|---|---|---|---|---|---|---|")
    for name, each in verdicts.items():
        had = estimate(list(rewards[name].values()))
        gain = paired_gain(rewards["MAGIC tuned"], rewards[name])
        figures = [
            statistics.fmean(v["metrics"][f] for v in each) for f in ("mse_norm", "poisson_norm", "likelihood_norm")
        ]
        failures = dict(Counter(v["failure"] for v in each if v["failure"]))
        shown = " | ".join(f"{figure:.3f}" for figure in figures)
        print(
            f"| {name} | {had.mean:.3f} [{had.lo:.3f}, {had.hi:.3f}] | {gain.mean:+.3f} [{gain.lo:+.3f}, {gain.hi:+.3f}]"
            f" | {shown} | {failures or '–'} |"
        )
    best, tuned = (statistics.fmean(rewards[name].values()) for name in ("best plan", "MAGIC tuned"))
    print(
        f"goal {GOAL:g} of tuned MAGIC: {best / tuned:.2f}, {'met' if best >= GOAL * tuned else 'missed'}", flush=True
    )
    return {name: {"rewards": rewards[name]} for name in verdicts}


def _spread(values: Sequence[float]) -> str:
    points = statistics.quantiles(values, n=20)
    return f"5 % {points[0]:.3f}, median {points[9]:.3f}, 95 % {points[18]:.3f}, most {max(values):.3f}"


if __name__ == "__main__":
    main()
