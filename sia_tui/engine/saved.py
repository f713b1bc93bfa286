"""What is left of a training that breaks off, as the disk and the store have it."""

from __future__ import annotations

from sia_tui.core.telling import saved
from sia_tui.store.workspace import RunPaths
from sia_tui.store.writer import RunStore
from sia_tui.weights.whole import CHECKPOINTS, sealed, step_of


def what_is_saved(store: RunStore, paths: RunPaths) -> str:
    """Of the training under way, in words; empty where there is none."""
    step, best = store.state.training, store.state.best
    if step is None or best is None:
        return ""
    whole = sealed(paths.training / step.id / CHECKPOINTS)
    return saved(step_of(whole[0]) if whole else None, store.rollouts(step.id), best.index)
