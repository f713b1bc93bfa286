"""What runs in the sandbox: the candidate's function on the counts of one tissue, its answer into a file.

Stands alone: it is copied beside the candidate as the module whose `prepare` the house worker calls. It shares its process
with the candidate, so nothing it says is believed but the bytes of the file, which are checked outside.
"""

from pathlib import Path
from typing import Any

COUNTS, ANSWER, CANDIDATE = "counts.npy", "denoised.npy", "candidate.txt"


class NoFunction(Exception):
    """The source has no `def denoise(counts)`."""


class NoArray(Exception):
    """The function gave back something other than a numpy array."""


def prepare(rows: Path, out: Path) -> None:
    import random

    import numpy as np

    random.seed(0)
    np.random.seed(0)
    source = Path(__file__).with_name(CANDIDATE).read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "candidate"}
    exec(compile(source, "candidate.py", "exec"), names)
    denoise = names.get("denoise")
    if not callable(denoise):
        raise NoFunction("write def denoise(counts: np.ndarray) -> np.ndarray")
    found = denoise(np.load(rows / COUNTS, allow_pickle=False))
    if type(found) is not np.ndarray or found.dtype.hasobject:
        raise NoArray(f"denoise gave back {type(found).__name__}, not an array of numbers")
    np.save(out / ANSWER, found, allow_pickle=False)
