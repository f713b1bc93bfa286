"""Knows which gates wait, and whether a person has been called for them."""

from __future__ import annotations

from collections.abc import Sequence

from sia_tui.tui.listed import waiting
from sia_tui.tui.view import View


class Caller:
    """`waiting` holds the gates that wait, by run and hash."""

    def __init__(self, rings_at_once: bool) -> None:
        """`rings_at_once`: what waits when the window opens is called out too."""
        self._ready = rings_at_once
        self.waiting: frozenset[tuple[str, str]] = frozenset()

    def hears(self, shelved: Sequence[View], opened: View, here: str) -> bool:
        """Whether a gate has opened since that the person is not looking at. `opened` is the run on show, if any."""
        known = bool(opened.state.run)
        now = waiting(
            [*(view for view in shelved if not known or view.run != opened.run), *([opened] if known else [])]
        )
        new = now - self.waiting
        ready, self._ready = self._ready, self._ready or known
        self.waiting = now
        return ready and any(run != opened.run or here != "gate" for run, _ in new)
