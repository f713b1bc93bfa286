"""What the window shows, at one moment. Knows nothing of terminals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from sia_tui.core.events import Alarmed
from sia_tui.core.state import State
from sia_tui.store.reader import EpisodeRow, Metrics, Progress, Reading

if TYPE_CHECKING:
    from sia_tui.config import RunConfig

RECENT = 500
"""Newest episodes kept in sight; all of them stay on disk."""

Mark = Literal["reading", "new", "starting", "running", "waiting", "paused", "done", "stopped", "failed", "interrupted"]


@dataclass(frozen=True)
class View:
    """A run as its newest commit tells it."""

    run: str
    state: State = field(default_factory=State)
    progress: Progress | None = None
    machine: Reading | None = None
    alive: bool = False
    """Whether an engine holds the run."""
    starting: bool = False
    """Whether one is coming up that does not hold it yet."""
    story: tuple[tuple[str, str], ...] = ()
    """When, and one line, oldest first."""
    alarms: tuple[tuple[str, Alarmed], ...] = ()
    """When, and what was seen that should not be."""
    metrics: Mapping[str, tuple[Metrics, ...]] = field(default_factory=dict)
    """Of each training, by proposal."""
    recent: tuple[EpisodeRow, ...] = ()
    """Newest last, at most `RECENT`."""
    dropped: int = 0
    """Episodes of the run that are no longer in `recent`."""
    config: RunConfig | None = None
    recorded: bool = False
    """Of a recording: what it waits for is no longer anybody's to answer."""
    answer: tuple[str, str] | None = None
    """In a recording: when, and how, the gate that waits was answered."""
    error: str | None = None
    """Why this is not the newest there is."""

    @property
    def mark(self) -> Mark:
        """The run's condition in one word."""
        state = self.state
        if state.status != "running":
            return state.status
        if state.waiting is not None:
            return "waiting"
        if self.alive:
            return "running"
        if self.starting:
            return "starting"
        if not self.known:
            return "reading"
        return "interrupted" if state.engine is not None else "new"

    @property
    def known(self) -> bool:
        """Whether anything was read of it, or was found that cannot be."""
        return bool(self.state.run or self.error)

    @property
    def over(self) -> bool:
        """Nothing more will happen to it."""
        return self.state.over

    @property
    def asks(self) -> bool:
        """Whether a gate of it waits for a person."""
        return self.state.waiting is not None and self.state.status in ("running", "paused")

    @property
    def in_training(self) -> bool:
        """Whether a training is under way that nobody has ended early."""
        return self.state.training is not None and self.state.training.cut_short_by is None

    @property
    def trainings(self) -> tuple[str, ...]:
        """Proposals with at least one step to plot, oldest first."""
        return tuple(step.id for step in self.state.steps if self.metrics.get(step.id))


def age_s(at: str, now: datetime) -> float:
    """Seconds since a recorded time; never negative, clocks differ."""
    return max(0.0, (now - datetime.fromisoformat(at)).total_seconds())


def ago(seconds: float) -> str:
    """`4 s`, `12 min`, `3 h`, `2 d`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 129_600 else f"{seconds / 86_400:.0f} d"
