"""The order and pace in which a recorded run is played: what happened when, and how long a viewer waits for it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal

CUT_S = 20.0
"""Of the run's own time nothing is waited for longer than so."""

Kind = Literal["gate", "kept", "back", "end"]
_KINDS: dict[str, Kind] = {
    "GateOpened": "gate",
    "GenerationKept": "kept",
    "GenerationRolledBack": "back",
    "ProposalRefused": "back",
    "RunEnded": "end",
}


@dataclass(frozen=True)
class Mark:
    """Something worth stopping at."""

    kind: Kind
    at_s: float


@dataclass(frozen=True)
class Film:
    """A run's moments. Seconds are those of the film: pauses of the run are cut to `CUT_S`."""

    moments: Sequence[str]
    """Recorded times, oldest first, each once."""
    seconds: Sequence[float]
    """When each comes, from 0."""
    marks: Sequence[Mark]

    @property
    def length_s(self) -> float:
        return self.seconds[-1]

    def moment(self, at_s: float) -> str:
        """The last recorded time that has come by `at_s`."""
        return self.moments[max(0, bisect_right(self.seconds, at_s) - 1)]

    def next_mark(self, after_s: float, kind: Kind | None = None) -> Mark | None:
        return next((mark for mark in self.marks if mark.at_s > after_s and kind in (None, mark.kind)), None)

    def last_mark(self, before_s: float) -> Mark | None:
        return next((mark for mark in reversed(self.marks) if mark.at_s < before_s), None)

    def marked(self, at_s: float) -> bool:
        return any(mark.at_s == at_s for mark in self.marks)

    def step(self, at_s: float, way: int) -> float:
        """The moment before or after this one."""
        here = bisect_right(self.seconds, at_s) - 1
        return self.seconds[min(max(0, here + way), len(self.seconds) - 1)]


def film(recorded: Sequence[tuple[str, str]]) -> Film:
    """Of (time, kind of event), in any order. Raises ValueError for none."""
    if not recorded:
        raise ValueError("nothing was recorded")
    moments = sorted({at for at, _ in recorded})
    seconds = [0.0]
    for before, after in pairwise(map(datetime.fromisoformat, moments)):
        seconds.append(seconds[-1] + min((after - before).total_seconds(), CUT_S))
    when = dict(zip(moments, seconds, strict=True))
    marks = [Mark(_KINDS[kind], when[at]) for at, kind in sorted(recorded) if kind in _KINDS]
    return Film(moments, seconds, marks)
