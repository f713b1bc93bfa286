"""When something was, or will be, as whoever reads it counts: by their own clock, and with the day where that is not today."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sia_tui.core.text import one_line

TODAY, LONGEST = 8, 12
"""Cells that a time of today takes up, and any time at most."""
_LONG_AGO = timedelta(days=180)
"""So far off a day says its year instead of the hour, as in `ls -l`."""


def when(at: str, now: datetime | None = None, seconds: bool = True) -> str:
    """`21:03:27` of today, `26 Nov 21:03` of another day, `26 Nov 2025` of one long ago. `now`: where it is another one."""
    try:
        then, today = datetime.fromisoformat(at).astimezone(), (now or datetime.now(UTC)).astimezone()
    except (ValueError, OverflowError):
        # A damaged log may say anything.
        return one_line(at, LONGEST)
    if then.date() == today.date():
        return f"{then:%H:%M:%S}" if seconds else f"{then:%H:%M}"
    return f"{then:%d %b %Y}" if abs(today - then) > _LONG_AGO else f"{then:%d %b %H:%M}"


def utc(at: str) -> str:
    """`2026-11-26 21:03:27 UTC`, for what is read elsewhere; nothing of no time."""
    return f"{at[:19].replace('T', ' ')} UTC" if at else ""


def eta(seconds: float | None) -> str:
    """`ETA m:ss`; a dash while nobody can tell."""
    if seconds is None:
        return "ETA –"
    return f"ETA {round(seconds) // 60}:{round(seconds) % 60:02d}"
