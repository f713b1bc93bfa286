"""Events of a training: where it begins, is asked to end, and what it made."""

from __future__ import annotations

from dataclasses import dataclass

from sia_tui.core.event import Event

EARLY = "ended early by "
"""Before the name of the person who ended a training."""


@dataclass(frozen=True)
class TrainingBegan(Event):
    """From here on the plan spends."""

    id: str
    parent_adapter: str | None
    in_turns: bool = False
    """The policy sleeps while the trainer computes, and nothing is rolled out ahead: the plan's staleness counts as 0."""


@dataclass(frozen=True)
class TrainerLost(Event):
    """The trainer, or one of its processes, died; another one goes on from what is saved."""

    id: str
    why: str
    saved: str = ""


@dataclass(frozen=True)
class TrainingCutShort(Event):
    """A person wants the training to end with the step under way; its best look is what will be measured."""

    id: str
    by: str
    saved: str = ""


@dataclass(frozen=True)
class AdapterTrained(Event):
    """A candidate adapter lies in the run's `adapters/`, and is served as what was trained."""

    id: str
    adapter: str
    """sha256 of its configuration and weights."""
    steps: int
    """Optimizer steps made."""
    best_step: int
    """The one whose adapter was published: best on the cases held out of train."""
    stopped: str
    """Why training ended."""
    held_out_before: float
    held_out_after: float
    rollouts: int
    seconds: float
    modules: int
    moved: int
    """Of the adapted modules, how many have changed."""
    probe_gap: float
    """Largest difference of a logprob, served against trained, over the tokens of the probe."""
