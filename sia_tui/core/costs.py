"""What a plan costs on a machine: memory in every place it needs some, rollouts, time; measured where it was, else guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from sia_tui.core.hardware import Machine
from sia_tui.core.memory import GIB, RUNTIME, SLEEPING, Parts, Serving, Training, serving, training
from sia_tui.core.plans import COMPARING, OFFLINE, Pilot, TrainPlan, estimate
from sia_tui.core.shape import Shape

Arrangement = Literal["side by side", "in turns", "apart", "on the CPU"]

KEPT_FREE = 0.05
"""Of a GPU, for what the allocator cannot give back in one piece. Guessed."""
PROMPT_TOKENS = 1024
"""Of a rollout, before any was made. Guessed, as are the next ones."""
HARNESS_S = 0.02
"""Of a rollout: what the harness does besides asking."""
EFFICIENCY = {"compute": 0.3, "bandwidth": 0.5}
"""Of what a card's data sheet promises: model FLOPs of a training step, bytes read while decoding."""
MOVING = 10e9
"""Bytes a second between a GPU and host memory that is not pinned, each way. Guessed."""


@dataclass(frozen=True)
class Setup:
    """A plan, the model, how both sides compute, and where."""

    plan: TrainPlan
    shape: Shape
    trainer: Training
    server: Serving
    machine: Machine
    in_turns: bool = False
    """Whatever the estimate says."""
    workers: int = 1
    """Processes that share the training's steps, each with a GPU of its own."""
    nodes: int = 0
    """GPUs of all nodes of a cluster that work for the run."""
    elsewhere: bool = False
    """Servers of the policy have GPUs of Ray's, on whatever nodes."""

    @property
    def trains_on(self) -> tuple[int, ...]:
        return self.plan.train_on or (0,)

    @property
    def serves_on(self) -> tuple[int, ...]:
        return self.plan.serve_on or tuple(range(self.server.gpus * self.server.replicas))

    @property
    def split(self) -> int:
        """GPUs of one server."""
        return max(1, len(self.serves_on) // self.server.replicas)

    @property
    def row(self) -> int:
        """Tokens of the longest row that can be learned from."""
        return min(self.server.context, PROMPT_TOKENS + self.plan.max_tokens)

    @property
    def used(self) -> tuple[int, ...]:
        """GPUs of this machine that are allotted to it."""
        here = () if self.elsewhere else self.serves_on
        return tuple(sorted({*self.trains_on, *here})) if self.machine.gpus else ()

    @property
    def allotted(self) -> int:
        """GPUs of all machines, idle ones included."""
        several = (self.workers > 1 or self.elsewhere) and bool(self.machine.gpus or self.nodes)
        training = self.workers if self.workers > 1 else len(self.trains_on)
        return max(self.nodes, training + len(self.serves_on) if several else len(self.used))

    @property
    def apart(self) -> bool:
        """Neither side computes on a GPU of the other's. Several processes get theirs of Ray, beside those that serve."""
        return self.workers > 1 or self.elsewhere or not set(self.trains_on) & set(self.serves_on)

    @property
    def spread(self) -> int:
        """GPUs over which one copy of the trained model lies."""
        return 1 if self.workers > 1 else len(self.trains_on)


@dataclass(frozen=True)
class Seen:
    """What a run has measured; None where it has not."""

    pilot: Pilot | None = None
    step_s: float | None = None
    """An optimizer step without its rollouts."""
    learned: int = 0
    """What such a step learned from."""
    peak: int | None = None
    """Bytes: the most that the trainer held on a GPU, or in its process."""

    def step_of(self, plan: TrainPlan) -> float | None:
        """Seconds of one of the plan's steps without its rollouts, in proportion to what it learns from."""
        return self.step_s * plan.learned / self.learned if self.step_s is not None and self.learned else None


def rehearsed(plan: TrainPlan, pilot: Pilot) -> Seen | None:
    """What the pilot's own steps took; of a step that compares inside groups as much as there are groups that teach."""
    made = pilot.rehearsal
    if made is None or not made.steps:
        return None
    share = pilot.useful if plan.algorithm in COMPARING and pilot.useful else 1.0
    return Seen(pilot, share * made.step_s, made.learned, int(made.peak_gib * GIB))


@dataclass(frozen=True)
class Place:
    """Somewhere that memory is needed, at its fullest moment."""

    name: str
    parts: Parts
    has: int | None
    """Bytes that are there; None: unknown."""
    measured: bool = False
    """The trainer's share of it is what was measured."""

    @property
    def needs(self) -> int:
        return sum(self.parts.values())

    @property
    def fits(self) -> bool:
        return self.has is None or self.needs <= self.has * (1 - KEPT_FREE)

    @property
    def told(self) -> str:
        basis = "measured" if self.measured else "guessed"
        return f"{self.name}: needs {self.needs / GIB:.1f} GiB of {(self.has or 0) / GIB:.1f} ({basis})"


def arrangement(setup: Setup, seen: Seen | None = None) -> Arrangement:
    """On GPUs that both sides are to use, side by side where that fits; else in turns."""
    return laid_out(setup, seen)[0]


def places(setup: Setup, seen: Seen | None = None) -> tuple[Place, ...]:
    """Every place, the fullest of each kind."""
    return laid_out(setup, seen)[1]


def laid_out(setup: Setup, seen: Seen | None = None) -> tuple[Arrangement, tuple[Place, ...]]:
    """How the two sides stand, and every place."""
    both = _Sides(setup, seen)
    if not setup.machine.gpus:
        return "on the CPU", both.together("host memory", setup.machine.host)
    if setup.in_turns:
        return "in turns", both.in_turns()
    if setup.apart:
        return "apart", both.apart()
    found = both.together(_gpus("training and serving", setup.used), setup.machine.card.memory)
    return ("side by side", found) if found[0].fits else ("in turns", both.in_turns())


class _Sides:
    """What each side holds, laid out in one way or another."""

    def __init__(self, setup: Setup, seen: Seen | None) -> None:
        self._setup = setup
        self._reckoned = training(setup.shape, setup.plan, replace(setup.trainer, gpus=setup.spread), setup.row)
        self._needed = serving(setup.shape, setup.plan, replace(setup.server, gpus=setup.split))
        peak = seen.peak if seen is not None else None
        self._measured = peak is not None
        self._trained: Parts = _named("training", self._reckoned if peak is None else {"peak": peak})
        self._taken = int(setup.server.share * setup.machine.card.memory)
        reserved: Parts = {"reserved": max(0, self._taken - sum(self._needed.values()))} if self._taken else {}
        self._served = _named("serving", {**self._needed, **reserved})

    def together(self, name: str, has: int | None) -> tuple[Place, ...]:
        return (Place(name, {**self._trained, **self._served}, has, self._measured), *self._own())

    def apart(self) -> tuple[Place, ...]:
        return (self._training({}), self._serving({}), *self._own())

    def in_turns(self) -> tuple[Place, ...]:
        asleep = SLEEPING if self._setup.server.backend == "vllm" else RUNTIME["cuda"]
        return (
            self._training({"serving: asleep": asleep}),
            self._serving({"training: aside": RUNTIME["cuda"]}),
            Place("host memory", self.moved(), self._setup.machine.host),
            *self._own(),
        )

    def moved(self) -> Parts:
        """What waits in the host's memory while the other side has the GPUs; both at once, as what vLLM pinned once stays."""
        setup, kept = self._setup, ("weights", "adapter", "optimiser")
        return {
            "serving: weights, asleep": self._needed["weights"] * len(setup.serves_on),
            **{f"training: {name}, aside": self._reckoned[name] * len(setup.trains_on) for name in kept},
        }

    def _training(self, beside: Parts) -> Place:
        several = f"training, each of {self._setup.workers} GPUs"
        name = several if self._setup.workers > 1 else _gpus("training", self._setup.trains_on)
        has = self._setup.machine.card.memory
        return Place(name, {**self._trained, **beside}, has, self._measured)

    def _serving(self, beside: Parts) -> Place:
        name, has = _gpus("serving", self._setup.serves_on), self._setup.machine.card.memory
        return Place(name, {**self._served, **beside}, has)

    def _own(self) -> tuple[Place, ...]:
        needed = _named("serving", self._needed)
        return (Place("what vLLM may take (policy.vllm.memory)", needed, self._taken),) if self._taken else ()


def _named(side: str, parts: Parts) -> Parts:
    return {f"{side}: {name}": size for name, size in parts.items()}


def _gpus(what: str, numbers: tuple[int, ...]) -> str:
    return f"{what}, {'GPU' if len(numbers) == 1 else 'each of GPUs'} {', '.join(map(str, numbers))}"


@dataclass(frozen=True)
class Cost:
    """All that a plan takes."""

    trainable: int
    arrangement: Arrangement
    places: tuple[Place, ...]
    rollouts: int
    tokens: float
    seconds: float
    gpu_hours: float
    """GPUs allotted × hours, idle ones included."""
    measured: Mapping[str, bool]
    """Of memory, rollouts and steps: whether what it rests on was measured in this run."""


def cost(setup: Setup, seen: Seen) -> Cost:
    plan = setup.plan
    pilot = seen.pilot or guessed_pilot(setup)
    found = estimate(plan, pilot, step_seconds(setup, seen, pilot.tokens))
    arranged, needed = laid_out(setup, seen)
    seconds = found.seconds + (turning_seconds(setup) if arranged == "in turns" else 0.0)
    seconds = min(seconds, plan.stop_s) if plan.stop_s else seconds
    return Cost(
        trainable=setup.shape.trainable(plan.rank, plan.targets),
        arrangement=arranged,
        places=needed,
        rollouts=found.rollouts,
        tokens=found.tokens,
        seconds=seconds,
        gpu_hours=seconds * setup.allotted / 3600,
        measured={
            "memory": seen.peak is not None,
            "rollouts": seen.pilot is not None,
            "steps": seen.step_s is not None,
        },
    )


def step_seconds(setup: Setup, seen: Seen, tokens: float) -> float:
    """Of one optimizer step without its rollouts of so many tokens each: measured, else by operations.

    A token costs 2 operations a parameter forward and 2 backward, a frozen weight having no gradient of its own (Kaplan
    et al. 2020, arXiv 2001.08361, §2.1, counts 6 with it), and 2 more where activations are computed again.
    """
    measured = seen.step_of(setup.plan)
    if measured is not None:
        return measured
    a_token = (6 if setup.trainer.checkpointing else 4) * setup.shape.active_parameters
    operations = a_token * tokens * setup.plan.learned
    # Layers that are spread over GPUs are computed one after another: more of them hold more, and are no faster.
    each = setup.machine.card.flops * (1.0 if not setup.machine.gpus else EFFICIENCY["compute"])
    return operations / (each * setup.workers)


def turning_seconds(setup: Setup) -> float:
    """Of a whole training in turns: each look, and each step's rollouts, bring the policy in and the trainer back."""
    plan = setup.plan
    turns = 1 + -(-plan.steps // plan.eval_every) + (1 if plan.algorithm in OFFLINE else plan.steps)
    return turns * 2 * sum(_Sides(setup, None).moved().values()) / MOVING


def guessed_pilot(setup: Setup) -> Pilot:
    """A roofline (Pope et al. 2022, arXiv 2211.05102): prompts by operations, sampled tokens by the weights read for each.

    Every lane samples half of what it may, and all lanes read the weights together.
    """
    card, server, shape = setup.machine.card, setup.server, setup.shape
    sampled = min(setup.plan.max_tokens, server.context // 2) / 2
    prompt = min(PROMPT_TOKENS, server.context // 2)
    gpus = max(1, len(setup.serves_on))
    reading = shape.served_weights(server.dtype) / gpus / (card.bandwidth * EFFICIENCY["bandwidth"])
    computing = 2 * shape.active_parameters * (prompt + sampled) / gpus / (card.flops * EFFICIENCY["compute"])
    seconds = sampled * reading / server.lanes + computing + HARNESS_S
    return Pilot(1, setup.plan.samples, (1,) + (0,) * setup.plan.samples, 0.0, seconds, prompt + sampled)
