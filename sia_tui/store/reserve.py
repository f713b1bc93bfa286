"""Room set aside on a run's disk, so that a run which finds the disk full can still write down that it did."""

from __future__ import annotations

from pathlib import Path

SIZE = 1 << 20


def keep(path: Path) -> None:
    """Set it aside; where there is too little, none."""
    if path.exists():
        return
    try:
        path.write_bytes(bytes(SIZE))
    except OSError:
        release(path)


def release(path: Path) -> None:
    path.unlink(missing_ok=True)
