"""Files that a loader might unpickle, that is, run."""

from __future__ import annotations

from pathlib import Path

from sia_tui.trees import TooDeep, below

PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})


def pickles(folder: Path) -> list[str]:
    """The names of such files anywhere below `folder`, in order; of one too deep to be looked through, what it is."""
    try:
        return sorted(entry.name for entry in below(folder) if Path(entry.name).suffix in PICKLES)
    except TooDeep as deep:
        return [str(deep)]
