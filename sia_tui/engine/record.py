"""What the Feedback-Agent reads, taken from the store with everything it must not see left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sia_tui.agents.protocol import Brief, Reading
from sia_tui.core.recall import Memory
from sia_tui.core.state import State, blind
from sia_tui.store.reader import RunReader


@dataclass(frozen=True)
class StoredRecord:
    """The Record protocol over a run.db."""

    db: Path
    brief: Brief
    full_state: State
    files: Mapping[str, str]
    memory: Memory

    @property
    def state(self) -> State:
        return blind(self.full_state)

    def trajectories(self, split: Literal["train", "dev"], generation: int | None = None) -> Iterator[Reading]:
        """Raises ValueError for any other split."""
        if split not in ("train", "dev"):
            raise ValueError(f"agents may not read {split}")
        index = self.full_state.incumbent if generation is None else generation
        assert index is not None
        reader = RunReader(self.db)
        try:
            for episode, attempt, score in reader.trajectories(self.full_state.generations[index].key, split):
                yield Reading(episode, attempt, score)
        finally:
            reader.close()
