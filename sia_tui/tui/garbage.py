"""When the window looks for garbage: while no key waits."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

STILL_S = 0.3
"""After a key or a click its picture is there."""
ROUNDS = 20
"""Of the collector's middle generation that make a full walk worth it: some ten seconds of a busy run."""
MOST_ROUNDS = 500
"""Where nobody is ever still, a key waits for it."""


class Garbage:
    """A full walk takes as long as a key may (20 to 50 ms), and Python would begin one at any picture: half of them."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._touched = now, 0.0
        self._before = gc.get_threshold()

    def start(self) -> None:
        young, middle, _ = self._before
        gc.set_threshold(young, middle, MOST_ROUNDS)

    def stop(self) -> None:
        gc.set_threshold(*self._before)

    def touch(self) -> None:
        """A person did something just now."""
        self._touched = self._now()

    def sweep(self) -> None:
        """A full walk, if it is worth it and nobody waits."""
        _, _, rounds = gc.get_count()
        if rounds >= ROUNDS and self._now() - self._touched >= STILL_S:
            gc.collect()

    def spare(self) -> None:
        """All that was made so far stays, and is never walked through again."""
        gc.freeze()
