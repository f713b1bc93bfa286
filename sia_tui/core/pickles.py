"""Files that a loader might unpickle, that is, run."""

from __future__ import annotations

from pathlib import Path

PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})


def pickles(folder: Path) -> list[str]:
    """The names of such files anywhere below `folder`, in order."""
    return sorted(path.name for path in folder.rglob("*") if path.suffix in PICKLES)
