"""What the engine is doing, told twice: a row that clients poll, and lines for whoever reads its output."""

from __future__ import annotations

import time
from collections.abc import Callable

from sia_tui.core.clock import eta
from sia_tui.core.text import one_line
from sia_tui.store.writer import RunStore, now

STORE_EVERY_S = 0.5
LINE_EVERY_S = 10.0
FIRST_LINE_S = 3.0


class Reporter:
    """One phase at a time, each with a count and an ETA by the rate since its first unit."""

    def __init__(self, store: RunStore, write: Callable[[str], None]) -> None:
        self._store, self._write = store, write
        self._rated: tuple[int, float] | None = None
        self._begin("starting", 0)

    def say(self, line: str) -> None:
        """A line for people: something happened."""
        self._write(f"{time.strftime('%H:%M:%S')}  {one_line(line, 600)}")

    def phase(self, name: str, total: int = 0, done: int = 0) -> None:
        """From here on the engine does `name`, in `total` units (0: not countable), `done` of them already."""
        self._begin(name, total)
        self._done = done
        self._tell("")

    def at(self, done: int, note: str = "") -> None:
        """So many units are done."""
        self._done = done
        if self._rated is None:
            self._rated = (done, time.monotonic())
        self._tell(note)

    def beat(self) -> None:
        """Still alive."""
        self._tell("")

    def _begin(self, name: str, total: int) -> None:
        self._name, self._total, self._done = name, total, 0
        self._started_at = now()
        self._rated = None
        self._stored = 0.0
        self._printed = time.monotonic() - LINE_EVERY_S + FIRST_LINE_S

    def _tell(self, note: str) -> None:
        moment = time.monotonic()
        if moment - self._stored >= STORE_EVERY_S or 0 < self._total == self._done:
            self._stored = moment
            self._store.progress(
                self._name, self._done, self._total, self._started_at, self._seconds_left(moment), note
            )
        if moment - self._printed >= LINE_EVERY_S and (self._done < self._total or not self._total):
            self._printed = moment
            count = f" {self._done}/{self._total}  {eta(self._seconds_left(moment))}" if self._total else ""
            self._write(f"{time.strftime('%H:%M:%S')}  … {self._name}{count}{note and '  ' + note}")

    def _seconds_left(self, moment: float) -> float | None:
        """By the mean rate since the first unit came in; None until there is a rate."""
        if self._rated is None or self._done <= self._rated[0]:
            return None
        first, since = self._rated
        return (moment - since) / (self._done - first) * (self._total - self._done)
