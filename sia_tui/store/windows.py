"""Who has a window open on a run: a file a window in its folder, written anew as long as it is open. Nothing depends on it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

from sia_tui.store.workspace import RunPaths

STALE_S = 15.0
"""A window that has not been heard of for so long is gone, however it ended."""
LEFT_S = 86_400.0
"""What a window that was killed left behind goes after so long."""
_NAME = re.compile(r"\.?[0-9a-f]{12}")
MOST, LARGEST = 64, 2000
"""Files looked at, and bytes of one."""


@dataclass(frozen=True)
class Open:
    """A window that is open on a run, as it says itself."""

    user: str
    read_only: bool
    led: str = ""
    """When its user last took the lead there, ISO 8601 in UTC; empty: never."""
    pane: str = ""


def note_window(paths: RunPaths, name: str, window: Open) -> None:
    """`name` tells windows apart. Raises OSError where it cannot be written, as in another person's workspace."""
    paths.windows.mkdir(exist_ok=True)
    part = paths.windows / f".{name}"
    part.write_text(json.dumps(asdict(window), ensure_ascii=False), encoding="utf-8")
    part.replace(paths.windows / name)


def forget_window(paths: RunPaths, name: str) -> None:
    with suppress(OSError):
        (paths.windows / name).unlink(missing_ok=True)


def forget_killed(paths: RunPaths, now: float) -> None:
    """Remove what killed windows left. Never through a link: others may write there."""
    with suppress(OSError):
        folder = os.open(paths.windows, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            for entry in os.scandir(folder):
                old = now - entry.stat(follow_symlinks=False).st_mtime > LEFT_S
                if old and _NAME.fullmatch(entry.name):
                    os.unlink(entry.name, dir_fd=folder)
        finally:
            os.close(folder)


def open_windows(paths: RunPaths, now: float) -> dict[str, Open]:
    """By name, those heard of lately. `now`: seconds since 1970, by the clock of whoever stamps these files."""
    found: dict[str, Open] = {}
    for path in _lately(paths.windows, now):
        with suppress(OSError, ValueError, TypeError, KeyError):
            found[path.name] = _read(json.loads(path.read_text(encoding="utf-8")))
    return found


def _lately(folder: Path, now: float) -> list[Path]:
    """Files of windows that were heard of lately, as many as are looked at."""
    found: list[Path] = []
    with suppress(OSError):
        for entry in os.scandir(folder):
            with suppress(OSError):
                about = entry.stat(follow_symlinks=False)
                lately = S_ISREG(about.st_mode) and now - about.st_mtime <= STALE_S
                if lately and about.st_size <= LARGEST and not entry.name.startswith("."):
                    found.append(Path(entry.path))
    return sorted(found)[:MOST]


def _read(told: Mapping[str, Any]) -> Open:
    """Whoever may write there may write anything."""
    user, led, pane = (str(told[name])[:100] for name in ("user", "led", "pane"))
    return Open(user, bool(told["read_only"]), led, pane)
