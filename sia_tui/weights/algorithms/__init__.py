"""One file an algorithm, named as `core.plans.Algorithm` names it; each has `train(training, groups)`.

Those in `core.plans.OFFLINE` get the rollouts of all cases, made once under the starting point; the others get none and
ask for fresh ones each step. A new algorithm is a file here and its name there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from sia_tui.core.plans import ALGORITHMS, Algorithm
from sia_tui.weights.protocol import Rollout

Train = Callable[[Any, Sequence[Sequence[Rollout]]], None]
"""Trains a `looks.Training` to its end. Raises TrainingFailed where there is nothing to learn from."""


def load(name: Algorithm) -> Train:
    """The algorithm; importing it imports torch and trl. Raises ValueError for a name that is none."""
    if name not in ALGORITHMS:
        raise ValueError(f"no algorithm is called {name!r}")
    train: Train = import_module(f"{__name__}.{name}").train
    return train
