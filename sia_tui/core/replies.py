"""Events of models that play agents: what a reply was asked for, what it cost, and where none came."""

from __future__ import annotations

from dataclasses import dataclass

from sia_tui.core.event import Event


@dataclass(frozen=True)
class AgentCalled(Event):
    """A language model was asked in the part of an agent; what was said lies in the table `agent_calls` under the id."""

    id: str
    role: str
    model: str
    host: str
    """That received it."""
    prompt: str
    """Digest of the prompt files behind it."""
    tokens_in: int
    """Read, cached ones included."""
    cached: int
    tokens_out: int
    cost: float | None
    """US dollars; None where no price is known."""
    seconds: float
    tries: int


@dataclass(frozen=True)
class AgentFailed(Event):
    """A model gave no valid answer within its limits."""

    role: str
    reason: str
    instead: str
    """What happens in its place."""
