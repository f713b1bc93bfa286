"""When each person last looked at a run: a file a person in its folder. Written at leisure, and nothing depends on it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from sia_tui.core.hashing import digest
from sia_tui.store.workspace import RunPaths


def last_seen(paths: RunPaths, user: str) -> str | None:
    """ISO 8601; None before the first time."""
    try:
        at = (paths.seen / _name(user)).read_text(encoding="utf-8").strip()
        return at if datetime.fromisoformat(at).tzinfo else None
    except (OSError, ValueError):
        return None


def note_seen(paths: RunPaths, user: str, at: datetime) -> None:
    """Left undone where it cannot be written, as in another person's workspace."""
    with suppress(OSError):
        paths.seen.mkdir(exist_ok=True)
        (paths.seen / _name(user)).write_text(at.astimezone(UTC).isoformat(timespec="milliseconds"), encoding="utf-8")


def _name(user: str) -> str:
    """A login name is not a file name."""
    return user if user.isascii() and user.replace("-", "").replace("_", "").isalnum() else digest(user)[:16]
