"""The trials of one view that are still to be made, and which of those under way are late."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from statistics import median

from sia_tui.core.episodes import Case

LATE_AFTER = 5
"""So many episodes have to be over before any is late."""
LATE_S = 1.0
"""None is earlier than that."""


@dataclass(frozen=True)
class Trial:
    """One episode to make: a case, and which of its samples."""

    case: Case
    sample: int = 0


@dataclass(frozen=True, eq=False)
class Flight:
    """A trial under way on a node; there may be several of one."""

    trial: Trial
    node: str
    began: float = field(default_factory=time.monotonic)


class Waiting:
    """How many trials of the pass under way nobody has begun."""

    def __init__(self) -> None:
        self.lots: Collection[Lot] = ()

    @property
    def count(self) -> int:
        return sum(len(lot.queue) for lot in self.lots)


class Lot:
    def __init__(self, trials: Iterable[Trial]) -> None:
        self.queue, self.unfinished = deque(trials), list[Trial]()
        self._flights: dict[Trial, list[Flight]] = {}
        self._took: list[float] = []

    @property
    def under_way(self) -> bool:
        return bool(self._flights)

    def begin(self, trial: Trial, node: str) -> Flight:
        flight = Flight(trial, node)
        self._flights.setdefault(trial, []).append(flight)
        return flight

    def leave(self, flight: Flight, over: bool) -> bool:
        """Whether nobody is at the trial any more. `over`: it is made."""
        if over:
            self._took.append(time.monotonic() - flight.began)
        others = self._flights[flight.trial]
        others.remove(flight)
        if not others:
            del self._flights[flight.trial]
        return not others

    def late(self, node: str, factor: float) -> Flight | None:
        """One that takes so many times as long as the median, on another node and nowhere else."""
        if len(self._took) < LATE_AFTER:
            return None
        since = time.monotonic() - max(LATE_S, factor * median(self._took))
        lonely = (some[0] for some in self._flights.values() if len(some) == 1)
        return next((one for one in lonely if one.node != node and one.began < since), None)
