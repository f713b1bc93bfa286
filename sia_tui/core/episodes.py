"""What is known of cases and of episodes. Knows nothing of processes, files or models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Split = Literal["train", "dev", "hidden", "test"]
Source = Literal["policy", "tool"]

ALL_ROWS = "all"
Scores = Literal["absolute", "ranked"]
"""What rewards say: how good an answer is, or only which of the answers to one case is the better."""
"""The view of dev, hidden and test episodes: every train row. A train case's view is `fold-<k>`, the rows outside fold k."""


@dataclass(frozen=True)
class Case:
    """One problem instance as the harness may see it: no label."""

    id: str
    split: Split
    inputs: Mapping[str, str] = field(hash=False)
    fold: int | None = None

    @property
    def view(self) -> str:
        return ALL_ROWS if self.fold is None else f"fold-{self.fold}"


@dataclass(frozen=True)
class Row:
    """A labelled train row that tools may learn from, out of fold."""

    id: str
    inputs: Mapping[str, str]
    label: str
    fold: int


@dataclass(frozen=True)
class Call:
    """One completion as the gateway recorded it; never passes through the harness worker."""

    messages: tuple[Mapping[str, str], ...]
    text: str
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Natural log of each sampled token under the sampling distribution's model (temperature 1)."""
    adapter: str | None
    temperature: float
    top_p: float
    max_tokens: int
    finish_reason: str
    seconds: float
    unseen: int = 0
    """Tokens that a remote server counted without saying which; without ids nothing can be learned from the call."""

    @property
    def tokens(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids) + self.unseen


DENIED = "(denied)"
"""Stands as the name of a call in a trajectory where the harness tried to reach the network. No method can have that name."""
COMPILER = "(compiler)"
"""Likewise, where the engine asked the task's compiler for the harness."""


@dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: str
    result: str
    seconds: float


@dataclass(frozen=True)
class HarnessError:
    """Why an episode has no answer of the harness' own making."""

    kind: Literal["exception", "timeout", "crash", "bad_answer"]
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class Attempt:
    """What came out of the sandbox for one case, before it is scored."""

    case: Case
    answer: str | None
    source: Source
    """As the harness says, but `tool` whenever the gateway recorded no call: such an answer is not the policy's."""
    calls: tuple[Call, ...]
    tool_calls: tuple[ToolCall, ...]
    error: HarnessError | None
    seconds: float
    isolation: str
    notes: Mapping[str, Any] = field(default_factory=dict)


Purpose = Literal["pilot", "train", "held_out"]


@dataclass(frozen=True)
class Sampled:
    """Where in the making of weights an episode was rolled out; those that measure a generation have none."""

    proposal: str
    purpose: Purpose
    step: int
    """Optimizer steps behind the adapter that answered."""
    sample: int


@dataclass(frozen=True)
class Score:
    """A verifier's judgement: reward in [0, 1], failure None exactly when the answer is right."""

    reward: float
    failure: str | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    detail: Mapping[str, str] = field(default_factory=dict)
