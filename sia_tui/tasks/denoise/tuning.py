"""MAGIC at its best: its parameters chosen on train tissues, so that it is a null worth beating."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from sia_tui.tasks.denoise.nulls import magic
from sia_tui.tasks.denoise.protocol import Counts, Matrix, judge
from sia_tui.tasks.denoise.simulator import Tissue

KNN, T, DECAY, COMPONENTS = (1, 2, 3, 5, 10), (1, 2, 3), (1.0, 2.0, 4.0), (10, 20, 100)
FINALISTS = 8


@dataclass(frozen=True)
class Settings:
    """MAGIC's parameters; the defaults are its own."""

    knn: int = 5
    t: int = 3
    decay: float = 1.0
    components: int = 100


GRID = tuple(Settings(*values) for values in itertools.product(KNN, T, DECAY, COMPONENTS))


def magic_with(settings: Settings) -> Callable[[Counts], Matrix]:
    """MAGIC as the wrapper calls it, with these parameters."""
    return lambda counts: magic(counts, **asdict(settings))


def tune(tissues: Sequence[Tissue], grid: Sequence[Settings] = GRID) -> Settings:
    """The settings of the highest mean reward, the first of equals; ValueError for none to choose from.

    All of the grid on a third of the tissues, the FINALISTS on all of them: about a minute on one core for six.
    """
    if not tissues or not grid:
        raise ValueError("MAGIC is tuned on at least one tissue and one setting")
    few = tissues[: max(1, len(tissues) // 3)]
    ranked = sorted(grid, key=lambda settings: -mean_reward(magic_with(settings), few))
    return max(ranked[:FINALISTS], key=lambda settings: mean_reward(magic_with(settings), tissues))


def mean_reward(denoise: Callable[[Counts], Matrix], tissues: Sequence[Tissue]) -> float:
    """Of a function that is trusted to run in this process."""
    return fmean(judge(tissue.train, tissue.test, denoise(tissue.train))["reward"] for tissue in tissues)
