"""What the engine is doing, told twice: a row that clients poll, and lines for whoever reads its output."""

from __future__ import annotations

import time
from collections.abc import Callable

from sia_tui.core.text import one_line
from sia_tui.store.writer import RunStore, now

STORE_EVERY_S = 0.5
LINE_EVERY_S = 10.0


class Reporter:
    """One phase at a time, each with a count, a rate and an ETA."""

    def __init__(self, store: RunStore, write: Callable[[str], None]) -> None:
        self._store, self._write = store, write
        self._name, self._total, self._done = "starting", 0, 0
        self._started_at, self._began = now(), time.monotonic()
        self._stored = self._printed = 0.0

    def say(self, line: str) -> None:
        """A line for people: something happened."""
        self._write(f"{time.strftime('%H:%M:%S')}  {one_line(line, 400)}")

    def phase(self, name: str, total: int = 0) -> None:
        """From here on the engine does `name`, in `total` units (0: not countable)."""
        self._name, self._total, self._done = name, total, 0
        self._started_at, self._began = now(), time.monotonic()
        self._stored = 0.0
        self._printed = time.monotonic() - LINE_EVERY_S + 3.0
        self._tell("")

    def at(self, done: int, note: str = "") -> None:
        """So many units are done."""
        self._done = done
        self._tell(note)

    def beat(self) -> None:
        """Still alive."""
        self._tell("")

    def _tell(self, note: str) -> None:
        moment = time.monotonic()
        if moment - self._stored >= STORE_EVERY_S or self._done == self._total:
            self._stored = moment
            self._store.progress(self._name, self._done, self._total, self._started_at, note)
        if moment - self._printed >= LINE_EVERY_S and self._done < self._total:
            self._printed = moment
            self._write(f"{time.strftime('%H:%M:%S')}  … {self._name} {self._count(moment)}{note and '  ' + note}")

    def _count(self, moment: float) -> str:
        return f"{self._done}/{self._total}  {eta(self._done, self._total, moment - self._began)}"


def eta(done: int, total: int, seconds: float) -> str:
    """`ETA m:ss` by the mean rate so far; a dash before the first unit."""
    if not 0 < done <= total:
        return "ETA –"
    left = round(seconds / done * (total - done))
    return f"ETA {left // 60}:{left % 60:02d}"
