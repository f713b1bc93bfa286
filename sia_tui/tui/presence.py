"""Whether a person has been away from a run, told by the keys and clicks of this window and of those before it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sia_tui.store.seen import last_seen, note_seen
from sia_tui.store.workspace import RunPaths

AWAY = timedelta(minutes=5)
NOTED = timedelta(seconds=30)


class Presence:
    """One person at one run. `since` is when they went away, of the last time that they came back."""

    def __init__(self, paths: RunPaths, user: str, now: Callable[[], datetime]) -> None:
        self._paths, self._user, self._now = paths, user, now
        seen = last_seen(paths, user)
        self._last = datetime.fromisoformat(seen) if seen else None
        self._noted: datetime | None = None
        self.since: str | None = None

    def touch(self) -> bool:
        """The person did something just now; whether they had been away before."""
        last, self._last = self._last, self._now()
        back = last is not None and self._last - last >= AWAY
        if back and last is not None:
            self.since = last.astimezone(UTC).isoformat(timespec="milliseconds")
        if self._noted is None or self._last - self._noted >= NOTED:
            self.leave()
        return back

    def leave(self) -> None:
        """Remember when the person was last here."""
        if self._last is not None:
            self._noted = self._last
            note_seen(self._paths, self._user, self._last)
