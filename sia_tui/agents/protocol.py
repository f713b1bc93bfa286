"""What a Meta-Agent, a Feedback-Agent and a critic are to the engine: what they may read and what they return."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from sia_tui.core.episodes import Attempt, Score, Scores
from sia_tui.core.plans import ALGORITHMS, Algorithm, TrainPlan
from sia_tui.core.proposals import Lever, Proposal, Review
from sia_tui.core.recall import Memory
from sia_tui.core.state import State, Step


@dataclass(frozen=True)
class Brief:
    """The task as agents are told it."""

    name: str
    description: str
    labels: tuple[str, ...]
    glosses: Mapping[str, str] = field(default_factory=dict)
    """A label in plain English, for people."""
    levers: tuple[Lever, ...] = ("harness", "weights")
    """Those that this run may pull."""
    algorithms: tuple[Algorithm, ...] = ALGORITHMS
    """Those that it may train by."""
    plans: tuple[TrainPlan, ...] = ()
    """The house's plan of each algorithm for this policy: where a plan of one's own starts from."""
    surface: tuple[str, ...] = ("*.py", "*.md")
    """What a patch may touch, as globs below the harness folder."""
    left: Mapping[str, str] = field(default_factory=dict)
    """Budget that is left, by name, in words."""
    left_min: float = math.inf
    """Minutes of the wall clock budget that are left."""
    trials: int = 0
    """Train cases that a harness may be tried on before a proposal."""
    left_steps: int = 1_000
    """Steps that are left, this one included."""
    scores: Scores = "absolute"
    """What the verifier's say."""
    command: tuple[str, ...] = ()
    """Starts a harness that is a program; empty: it is a Python package with `solve`."""

    @property
    def offered(self) -> tuple[TrainPlan, ...]:
        """The plans of the algorithms that this run may train by."""
        return tuple(plan for plan in self.plans if plan.algorithm in self.algorithms)

    def show(self, label: str) -> str:
        return f"{label} ({self.glosses[label]})" if label in self.glosses else label


@dataclass(frozen=True)
class Reading:
    """One trajectory, whole. Only train's hold the expected answer: dev selects, it must not be learned."""

    episode: str
    attempt: Attempt
    score: Score

    @property
    def expected(self) -> str | None:
        return self.score.detail.get("expected")


class Record(Protocol):
    """All that a Feedback-Agent, or a critic, may read. Nothing of hidden or test is behind it."""

    @property
    def brief(self) -> Brief: ...

    @property
    def state(self) -> State:
        """The run so far: generations with train and dev results, steps with verdicts and reasons, and with what their
        pilots measured and recommend (`state.advised` for the incumbent; `core.advice.page` is the page that people read)."""

    @property
    def files(self) -> Mapping[str, str]:
        """The incumbent's harness package, {path: text}."""

    @property
    def memory(self) -> Memory:
        """What was tried and how it ended, failures by generation, what people asked for, how predictions held: of this
        run, and of others where the config carries that over (`core.memo.page` is the page that people read)."""

    def trajectories(self, split: Literal["train", "dev"], generation: int | None = None) -> Iterator[Reading]:
        """Every trajectory of a generation (default: the incumbent), in full."""

    def rollouts(self, step: str) -> Iterator[Reading]:
        """Every trajectory made for the pilot and the training of a step, on train cases, in full."""

    def files_at(self, generation: int) -> Mapping[str, str]:
        """The harness package of a generation."""

    async def try_harness(self, files: Mapping[str, str], cases: Sequence[str]) -> list[Reading]:
        """Run a harness of these files on chosen train cases, in the sandbox. Raises Declined."""

    async def python(self, code: str) -> str:
        """Run a script over the trajectories, in the sandbox: what it printed, errors included. Raises Declined."""


class Declined(Exception):
    """What an agent asked to be done is not done, with the reason, for the agent."""


@dataclass(frozen=True)
class Solved:
    """A train case with its expected answer; nobody has been asked yet."""

    case: str
    inputs: Mapping[str, str]
    expected: str


class Workbench(Protocol):
    """What a Meta-Agent may try its files on."""

    @property
    def samples(self) -> Sequence[Solved]:
        """Some train cases with their expected answers."""

    async def smoke(self, files: Mapping[str, str]) -> list[Reading]:
        """Run a harness of these files on two train cases, in the sandbox. Raises Declined."""


@dataclass(frozen=True)
class Written:
    """A first harness, {path: text}, and what its author says of it."""

    files: Mapping[str, str]
    note: str = ""
    agent: str = "playbook"


class MetaAgent(Protocol):
    async def first_harness(self, brief: Brief, seed: Mapping[str, str], bench: Workbench) -> Written:
        """The package to start from; `seed` is the house's own for this task, or empty."""


class FeedbackAgent(Protocol):
    async def propose(self, record: Record) -> Proposal: ...


class Critic(Protocol):
    async def review(self, record: Record, step: Step) -> Review:
        """What speaks against a proposal that passed its checks; `unheard` rather than a failure."""
