"""What a run has cost so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Spent = Literal["wall_s", "gpu_s", "tokens", "money"]
"""What a standing yes may limit: fields of a cost and of a contract alike."""


@dataclass(frozen=True)
class Cost:
    wall_s: float = 0.0
    """Time engines have worked on this run: not while it waited for a person, was paused, or had no engine."""
    gpu_s: float = 0.0
    """That time, for every GPU that the run had: of all nodes that worked for it, idle ones included."""
    tokens: int = 0
    """Prompt and sampled tokens of finished episodes."""
    episodes: int = 0
    calls: int = 0
    """Of language models that play agents; the next two are theirs too."""
    agent_tokens: int = 0
    money: float = 0.0
    """US dollars, where prices are known."""

    def worked(self, seconds: float, gpus: int) -> Cost:
        """With so much more time of an engine's work, in the log's milliseconds: however it is cut, it adds up to the same."""
        return replace(self, wall_s=round(self.wall_s + seconds, 3), gpu_s=round(self.gpu_s + seconds * gpus, 3))
