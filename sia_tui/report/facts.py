"""All that a report tells, gathered beforehand: what follows is pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sia_tui.core.attribution import Pair
from sia_tui.core.comparing import Evidence
from sia_tui.core.events import MeasuredAgain, Recorded
from sia_tui.core.evidence import Attribution
from sia_tui.core.seals import Seal
from sia_tui.core.state import State
from sia_tui.store.drawn import Drawn
from sia_tui.store.openings import Opening
from sia_tui.store.reader import Metrics, Spent


@dataclass(frozen=True)
class Facts:
    state: State
    status: str
    log: Sequence[Recorded]
    """Without episodes."""
    config: str
    """The run's own, as YAML."""
    seed: int
    metrics: Mapping[str, Sequence[Metrics]]
    """Of each training, by proposal."""
    spent: Sequence[Spent]
    seals: Sequence[Seal]
    openings: Sequence[Opening] | None
    """Of the run's test set, by whatever run of the workspace; None where whoever asks may not see that."""
    again: Sequence[MeasuredAgain]
    """What was measured again beside the run."""
    apart: Sequence[tuple[Pair, Attribution]]
    evidence: Sequence[Evidence]
    """Of every candidate that was measured under other seeds too."""
    drawn: Drawn | None
    """Best of N at the cost of the run, where somebody measured it."""
    versions: Mapping[str, str]
    made_at: str

    @property
    def over(self) -> bool:
        return self.state.over
