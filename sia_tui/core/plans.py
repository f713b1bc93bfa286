"""A weights update before it is made: the plan, the pilot it rests on, what it should take."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Algorithm = Literal["best_of_n", "grpo"]

_RANGES: dict[str, tuple[float, float]] = {
    "steps": (1, 100_000),
    "cases_per_step": (1, 4096),
    "samples": (2, 1024),
    "cases": (1, 10_000_000),
    "held_out": (8, 100_000),
    "eval_every": (1, 100_000),
    "patience": (1, 1000),
    "learning_rate": (1e-8, 0.1),
    "rank": (1, 512),
    "alpha": (1, 2048),
    "clip": (0.01, 10.0),
    "seed": (0, 2**31 - 1),
}


@dataclass(frozen=True)
class TrainPlan:
    """One LoRA update by RL on the harness' own rollouts. Raises ValueError for a value outside its range.

    `best_of_n` (rejection sampling, e.g. Dong et al. 2023, arXiv 2304.06767): every case is rolled out `samples` times
    at the start, one verified success a case is cloned. `grpo` (Shao et al. 2024, arXiv 2402.03300): each step rolls out
    `cases_per_step` cases `samples` times under the newest adapter.
    """

    algorithm: Algorithm
    steps: int
    """Optimizer steps, at the most."""
    cases_per_step: int
    """GRPO: groups of a step. Best-of-n: cloned episodes of a step."""
    samples: int
    """Rollouts of one case: the group."""
    cases: int
    """Train cases it may draw from."""
    held_out: int
    """Train cases kept out of the training, by whose reward it stops; dev is never looked at."""
    learning_rate: float
    eval_every: int = 10
    """Steps between two looks at the cases held out."""
    patience: int = 3
    """Looks in a row without a new best after which it stops."""
    rank: int = 32
    alpha: int = 64
    clip: float = 0.2
    """Of the importance ratio, both ways (GRPO)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.algorithm not in ("best_of_n", "grpo"):
            raise ValueError(f"plan: algorithm {self.algorithm!r} is not one of best_of_n, grpo")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"plan: {name} must lie in [{low:g}, {high:g}], got {value!r}")

    def changes(self, before: TrainPlan) -> dict[str, tuple[Any, Any]]:
        """What differs from an earlier plan: {field: (then, now)}."""
        then, now = asdict(before), asdict(self)
        return {name: (then[name], value) for name, value in now.items() if then[name] != value}


@dataclass(frozen=True)
class Pilot:
    """What a plan rests on: some train cases rolled out `samples` times each before anybody is asked."""

    n: int
    samples: int
    solved: tuple[int, ...]
    """Cases solved in k of the samples, at place k; `samples + 1` long."""
    useful: float
    """Share of the groups whose rewards differ: the rest teaches GRPO nothing."""
    seconds: float
    """Wall clock of one rollout, as many side by side as there are lanes."""
    tokens: float
    """Mean prompt and sampled tokens of one rollout."""
    episodes: tuple[str, ...] = ()
    """Some of the best-paid rollouts, to be read before deciding."""

    @property
    def pass_1(self) -> float:
        """Chance that one rollout solves its case."""
        return sum(k * count for k, count in enumerate(self.solved)) / max(1, self.n * self.samples)

    @property
    def pass_n(self) -> float:
        """Share of the cases that any of the samples solved."""
        return 1 - self.solved[0] / max(1, self.n)


@dataclass(frozen=True)
class Estimate:
    """What a plan should take, from what its pilot measured."""

    rollouts: int
    seconds: float
    tokens: float


START_S = 15.0
"""Importing the trainer, publishing and proving the adapter."""


def estimate(plan: TrainPlan, pilot: Pilot, step_s: float) -> Estimate:
    """`step_s`: seconds of one optimizer step without its rollouts."""
    looks = 1 + -(-plan.steps // plan.eval_every)
    trained = plan.cases if plan.algorithm == "best_of_n" else plan.steps * plan.cases_per_step
    rollouts = trained * plan.samples + looks * plan.held_out
    return Estimate(rollouts, START_S + rollouts * pilot.seconds + plan.steps * step_s, rollouts * pilot.tokens)
