"""A weights update before it is made: the plan, the pilot it rests on, what it should take."""

from __future__ import annotations

import typing
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Algorithm = Literal["best_of_n", "dpo", "grpo", "dr_grpo", "rloo", "reinforce_kl", "entropic", "ppo"]
ALGORITHMS: tuple[Algorithm, ...] = typing.get_args(Algorithm)
OFFLINE: frozenset[Algorithm] = frozenset({"best_of_n", "dpo"})
"""Those that roll every case out once, at the start, and learn from that alone."""
COMPARING: frozenset[Algorithm] = frozenset({"grpo", "dr_grpo", "rloo", "entropic"})
"""Those that compare inside a group and so learn nothing from one whose rewards are all alike."""
TARGETS = ("all-linear", "attention")

RANGES: dict[str, tuple[float, float]] = {
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
    "kl": (0.0, 10.0),
    "entropy": (0.0, 1.0),
    "max_tokens": (1, 1_000_000),
    "temperature": (0.1, 2.0),
    "staleness": (0, 8),
    "gamma": (0.5, 1.0),
    "gae_lambda": (0.0, 1.0),
    "value_warmup": (0, 10_000),
    "stop_slope": (0, 100_000),
    "stop_kl": (0.0, 1000.0),
    "stop_truncated": (0.0, 1.0),
    "stop_gap": (0.0, 100.0),
    "stop_s": (0.0, 10_000_000.0),
    "seed": (0, 2**31 - 1),
}
"""Lowest and highest value of each number of a plan."""


def _whole(name: str, value: Any) -> int:
    """8.0 counts as 8."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not int:
        raise ValueError(f"plan: {name} must be a whole number, got {value!r}")
    return value


@dataclass(frozen=True)
class TrainPlan:
    """One LoRA update by RL on the harness' own rollouts. Raises ValueError for a value outside its range.

    What each algorithm does with rewards, and where it comes from, stands in `sia_tui/weights/algorithms/`. The offline
    ones roll every case out `samples` times at the start; the others roll `cases_per_step` cases out `samples` times
    each step, under an adapter at most `staleness` steps old.
    """

    algorithm: Algorithm
    steps: int
    """Optimizer steps, at the most."""
    cases_per_step: int
    """Groups of a step; of the offline algorithms, episodes (or pairs of them) of a step."""
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
    targets: str = "all-linear"
    """Modules that get an adapter: all linear ones, or those of attention alone (the choice for MoE bases)."""
    clip: float = 0.2
    """Of the importance ratio, both ways; of PPO's value too."""
    kl: float = 0.0
    """Coefficient of the KL to the base: taken off the advantage token by token. Of DPO its beta, which is the same."""
    entropy: float = 0.0
    """Coefficient of the entropy bonus."""
    max_tokens: int = 1024
    """Most sampled tokens of one completion while rolling out for training."""
    temperature: float = 1.0
    """Of the rollouts learned from; logprobs are those at this temperature on both sides."""
    staleness: int = 0
    """Optimizer steps that the adapter which made a step's rollouts may be behind: those of later steps are then made
    while this one is learned from."""
    gamma: float = 1.0
    gae_lambda: float = 0.95
    """PPO: discount and decay of generalised advantage estimation, a token a step."""
    value_warmup: int = 5
    """PPO: steps at the start in which only the value head learns."""
    stop_slope: int = 0
    """Stops after this many steps if the rewards of the steps so far do not rise; 0: never."""
    stop_kl: float = 0.0
    """Stops when the KL to the base, in nats a token, is above this; 0: never. So the next ones."""
    stop_truncated: float = 0.0
    """Share of the completions that were cut short."""
    stop_gap: float = 0.0
    """Mean difference between the served and the trained policy's logprobs of a fresh rollout, in nats."""
    stop_s: float = 0.0
    """Wall clock of the training, in seconds."""
    serve_on: tuple[int, ...] = ()
    """GPUs that serve while this trains; empty: where the policy is served anyway."""
    train_on: tuple[int, ...] = ()
    """GPUs that train; empty: the first, on a machine without any the CPU. On those of both lists the two stand side by side
    where they fit by the estimate, else they take turns: the policy sleeps while the trainer computes, and `staleness`
    counts as 0."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"plan: algorithm {self.algorithm!r} is not one of {', '.join(ALGORITHMS)}")
        if self.targets not in TARGETS:
            raise ValueError(f"plan: targets {self.targets!r} is not one of {', '.join(TARGETS)}")
        for number in (one.name for one in fields(self) if one.type == "int"):
            object.__setattr__(self, number, _whole(number, getattr(self, number)))
        for name in ("serve_on", "train_on"):
            gpus = getattr(self, name)
            if not isinstance(gpus, tuple) or any(type(gpu) is not int or gpu < 0 for gpu in gpus):
                raise ValueError(f"plan: {name} must be a list of GPUs by number, got {gpus!r}")
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"plan: {name} must lie in [{low:g}, {high:g}], got {value!r}")

        if self.algorithm == "entropic" and self.samples < 3:
            raise ValueError(f"plan: samples must be at least 3 for entropic, got {self.samples}")

    @property
    def learned(self) -> int:
        """Rollouts that a step learns from; of the offline algorithms episodes, or pairs of them."""
        return self.cases_per_step * (1 if self.algorithm in OFFLINE else self.samples)

    def changes(self, before: TrainPlan) -> dict[str, tuple[Any, Any]]:
        """What differs from an earlier plan: {field: (then, now)}."""
        then, now = asdict(before), asdict(self)
        return {name: (then[name], value) for name, value in now.items() if then[name] != value}


@dataclass(frozen=True)
class Rehearsal:
    """The plan's first optimizer steps, made by a real trainer on what the pilot's rollouts said, as if every case taught
    something. Nothing of them is kept."""

    steps: int = 0
    learned: int = 0
    """What each learned from, as `TrainPlan.learned` counts it; fewer where the pilot has fewer. 0: nothing was said that
    a step could be made of."""
    step_s: float = 0.0
    """Seconds of one, without rollouts."""
    peak_gib: float = 0.0
    """The most that the trainer held: on a GPU, else in its process."""
    seconds: float = 0.0
    """Of all of it, most of which is the trainer's start."""
    fault: str = ""
    """Why it broke off."""

    @property
    def told(self) -> str:
        if self.fault:
            return f"not made: {self.fault}"
        if not self.steps:
            return "not made: nothing was said that a step could learn from"
        return f"{self.step_s:.2g} s if all {self.learned:,} teach, {self.peak_gib:.2g} GiB at most"


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
    rewards: tuple[tuple[float, ...], ...] = ()
    """What each rollout was paid, a group a case; of pilots of earlier versions empty."""
    sampled: float = 0.0
    """Mean sampled tokens of one rollout."""
    calls: float = 0.0
    """Mean completions of one rollout."""
    truncated: float = 0.0
    """Share of the completions that were cut short."""
    episode_s: float = 0.0
    """Wall clock of one rollout from its start to its end."""
    rehearsal: Rehearsal | None = None
    """None in logs of earlier versions."""

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
    trained = plan.cases if plan.algorithm in OFFLINE else plan.steps * plan.cases_per_step
    rollouts = trained * plan.samples + looks * plan.held_out
    return Estimate(rollouts, START_S + rollouts * pilot.seconds + plan.steps * step_s, rollouts * pilot.tokens)
