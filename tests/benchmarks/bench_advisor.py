"""Does the advisor beat "the harness until it stalls, then the weights" at equal budget? A table for docs/benchmarks.md.

    python -m tests.benchmarks.bench_advisor --workspace .sia-advisor --seeds 0 1 2 --depth 4

Live runs first: from generation 0 of each seed (splits, nano policy and run drawn anew) both levers are pulled from every
state that was reached, so that any policy of levers can be replayed exactly. Then the replay: each policy on each tree
at the same minutes and steps, the advisor with what it learned from the other seeds' trees. Stopped and started again it
goes on where it was; test stays sealed.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sia_tui.core.stats import t_quantile
from tests.benchmarks.arms import bring_to_its_end, overrides
from tests.benchmarks.lever_tree import SMALL, Carry, Tree, ended, grow, live, plant, tree
from tests.benchmarks.replaying import (
    Policy,
    Walk,
    advisor,
    coin,
    handing_over,
    likeliest,
    only,
    playbook,
    scripted,
    sequences,
    until_it_stalls,
    walk,
)

DRAWS = 200
"""Of a policy that draws, on each tree."""
RESAMPLES = 10_000
HOUSE = "harness until it stalls, then weights"
SHARES = (0.5, 1.0, 1.5)
"""Budgets, as shares of the minutes that a sequence of as many steps as the tree is deep takes on average."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/lawbench-nano-quick.yaml"))
    parser.add_argument("--workspace", default=".sia-advisor")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--table", action="store_true", help="only replay the trees that are there whole")
    parser.add_argument(
        "--live",
        type=int,
        nargs=2,
        metavar=("SPLIT", "SEED"),
        help="then a run that the advisor decides, with another policy and seed on the split of a tree, taught by that tree",
    )
    options = parser.parse_args()
    os.environ["SIA_WORKSPACE"] = options.workspace
    trees = []
    for seed in options.seeds:
        root = f"s{seed}" if options.table else plant(options.config, seed)
        found = _grown(seed, root, options.depth, ended if options.table else live)
        trees += [found] if found else []
    print(report(trees, options.depth))
    if options.live is not None:
        print(decided(options.config, *options.live, options.depth))


def _grown(seed: int, root: str, depth: int, carry: Carry) -> Tree | None:
    try:
        return tree(seed, dict(grow(root, depth, carry)))
    except LookupError as missing:
        print(f"seed {seed} is left out: run {missing} has not ended")
        return None


def decided(config: Path, split: int, seed: int, depth: int) -> str:
    """A live run of as many steps on a tree's split, as any run of a workspace that learns from the others."""
    name = f"live-{split}-{seed}"
    settings = SMALL | {"task.seed": split, "seed": seed, "policy.recipe.seed": seed, "budget.steps": depth}
    settings |= {"agents.feedback": "advisor", "agents.memory": "task"}
    found = bring_to_its_end(name, ["run", str(config), "--name", name, "--headless", *overrides(settings)])
    told = [
        f"{made['lever']} {100 * made['dev']['mean']:.1f}{'' if made['kept'] else ' rolled back'}"
        for made in found["generations"]
    ]
    return f"decided live, split of seed {split}, all else of seed {seed}: {', '.join(told)}"


@dataclass(frozen=True)
class Contender:
    name: str
    on: Callable[[Tree, list[Tree]], Policy]
    """Its policy for a tree, given the other trees."""
    draws: int = 1


def _rows(trees: Sequence[Tree]) -> list:  # type: ignore[type-arg]
    return [row for one in trees for row in one.rows]


CONTENDERS = (
    Contender(HOUSE, lambda _, __: until_it_stalls),
    Contender("the same, handing over at each stall", lambda _, __: handing_over),
    Contender("playbook", lambda _, __: playbook),
    Contender("advisor, other seeds' steps and its own", lambda _, others: advisor(_rows(others)), DRAWS),
    Contender("the same without draws: the likeliest", lambda _, others: likeliest(_rows(others))),
    Contender("advisor, its own steps alone", lambda _, __: advisor(()), DRAWS),
    Contender("a coin", lambda _, __: coin, DRAWS),
    Contender("harness only", lambda _, __: only("harness")),
    Contender("weights only", lambda _, __: only("weights")),
)


def report(trees: list[Tree], depth: int) -> str:
    if len(trees) < 2:
        return "two seeds at least are needed: what is learned on one is tried on another"
    ends = [walk(one, scripted(levers), depth, float("inf")) for one in trees for levers in sequences(one, depth)]
    whole = float(np.mean([end.minutes for end in ends if len(end.turns) == depth]))
    lines = [
        f"{len(trees)} seeds, {sum(len(one.rows) for one in trees)} live steps, "
        f"{sum(row.minutes for one in trees for row in one.rows):.0f} minutes of them; "
        f"a sequence of {depth} steps takes {whole:.1f} min on average",
    ]
    for share in SHARES:
        lines += ["", f"budget {share * whole:.1f} min, {depth} steps", *_table(trees, depth, share * whole)]
    return "\n".join([*lines, "", *_paths(trees, depth)])


def _paths(trees: list[Tree], depth: int) -> Iterator[str]:
    """What each policy pulls most often on each tree with time enough, and the dev that comes to."""
    yield f"| policy of levers | {' | '.join(f'seed {one.seed}' for one in trees)} |"
    yield "|---" * (len(trees) + 1) + "|"
    for name, on, draws in ((one.name, one.on, one.draws) for one in CONTENDERS):
        cells = []
        for one in trees:
            policy = on(one, [other for other in trees if other is not one])
            ran = [_told(walk(one, policy, depth, float("inf"), draw)) for draw in range(draws)]
            told, times = Counter(ran).most_common(1)[0]
            cells.append(told if draws == 1 else f"{told} ({100 * times // draws} %)")
        yield f"| {name} | {' | '.join(cells)} |"
    best = [
        max((walk(one, scripted(x), depth, float("inf")) for x in sequences(one, depth)), key=_gain) for one in trees
    ]
    yield f"| the best sequence, in hindsight | {' | '.join(map(_told, best))} |"


def _gain(run: Walk) -> float:
    return run.gain


def _told(run: Walk) -> str:
    """Levers by their first letter, capital where the step was kept; dev at the end."""
    pulled = "".join(turn.lever[0].upper() if turn.kept is not None else turn.lever[0] for turn in run.turns)
    return f"{pulled} {100 * (run.tree.root.seen.dev + run.gain):.1f}"


def _table(trees: list[Tree], depth: int, budget: float) -> list[str]:
    lines = [
        "| policy of levers | dev gained | minus the first | t over seeds | mean over the budget | minus the first |",
        "|---|---|---|---|---|---|",
    ]
    played = {one.name: _played(one, trees, depth, budget) for one in CONTENDERS}
    best = np.array([[_best(one, depth, budget)] for one in trees])
    first = played[HOUSE]
    for name, scores in [*played.items(), ("the best sequence, in hindsight", best)]:
        end, mean = ((scores[..., kind], first[..., kind]) for kind in (0, 1))
        cells = [interval(end[0]), interval(*end, "+"), t_interval(*end), interval(mean[0]), interval(*mean, "+")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _played(contender: Contender, trees: list[Tree], depth: int, budget: float) -> np.ndarray:
    """Points gained at the end, and in the mean over the budget: seeds × draws × 2."""
    return np.array(
        [
            [
                _score(
                    walk(one, contender.on(one, [x for x in trees if x is not one]), depth, budget, draw),
                    budget,
                )
                for draw in range(contender.draws)
            ]
            for one in trees
        ]
    )


def _score(run: Walk, budget: float) -> tuple[float, float]:
    return 100 * run.gain, 100 * run.area / budget


def _best(one: Tree, depth: int, budget: float) -> tuple[float, float]:
    scores = [_score(walk(one, scripted(levers), depth, budget), budget) for levers in sequences(one, depth)]
    return max(scores)


def interval(scores: np.ndarray, minus: np.ndarray | None = None, sign: str = "") -> str:
    """The mean over seeds and draws with its 95 % bootstrap interval: seeds drawn with replacement, a draw for each."""
    random = np.random.default_rng(0)
    seeds = random.integers(len(scores), size=(RESAMPLES, len(scores)))

    def resampled(values: np.ndarray) -> np.ndarray:
        draws = random.integers(values.shape[1], size=seeds.shape)
        return np.asarray(values[seeds, draws].mean(axis=1))

    means, centre = resampled(scores), scores.mean()
    if minus is not None:
        means, centre = means - resampled(minus), centre - minus.mean()
    lo, hi = np.quantile(means, (0.025, 0.975))
    return f"{centre:{sign}.1f} [{lo:{sign}.1f}, {hi:{sign}.1f}]"


def t_interval(scores: np.ndarray, minus: np.ndarray) -> str:
    """Of the mean difference a seed, Student's t: few seeds are few, which a bootstrap over them does not know."""
    seeds = scores.mean(axis=1) - minus.mean(axis=1)
    half = t_quantile(len(seeds) - 1) * seeds.std(ddof=1) / len(seeds) ** 0.5
    return f"[{seeds.mean() - half:+.1f}, {seeds.mean() + half:+.1f}]"


if __name__ == "__main__":
    main()
