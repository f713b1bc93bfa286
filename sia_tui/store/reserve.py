"""Room set aside on a run's disk, so that a run which finds the disk full can still write down that it did."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

SIZE = 1 << 20


def keep(path: Path) -> None:
    """Set it aside, but never more than half of what is left."""
    if not path.exists():
        with suppress(OSError):
            path.write_bytes(bytes(min(SIZE, shutil.disk_usage(path.parent).free // 2)))


def release(path: Path) -> None:
    path.unlink(missing_ok=True)
