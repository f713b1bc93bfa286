"""What the algorithms share that learn from one round of rollouts: TRL's settings, passes of equal size, the learning rate."""

from __future__ import annotations

import math
from typing import Any

from datasets import Dataset

from sia_tui.weights import ranks
from sia_tui.weights.lessons import order
from sia_tui.weights.looks import Rated, Training

MICRO_ROWS, OFFLINE_TOKENS = 8, 32_768
"""Most rows, and tokens with padding, of one forward and backward pass."""


def settings(training: Training, rows: int, tokens: int) -> dict[str, Any]:
    """Of TRL's configs, for a step from `rows` lessons of at most `tokens` each, cut into equal passes."""
    size = _size(training, rows)
    if size != _wanted(training, rows):
        training.pipe.notice(f"{size} lessons a step: as many for each of {ranks.size()} processes")
    share = size // ranks.size()
    most = max(1, min(MICRO_ROWS, share, (training.job.micro_tokens or OFFLINE_TOKENS) // tokens))
    micro = next(n for n in range(most, 0, -1) if share % n == 0)
    return training.arguments() | {
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": share // micro,
        "train_sampling_strategy": "sequential",
        "max_length": None,
    }


def drawn(training: Training, rows: list[dict[str, Any]]) -> Dataset:
    """The lessons in the order in which the steps take them."""
    plan = training.job.plan
    taken = order(len(rows), plan.steps * _size(training, len(rows)), plan.seed)
    return Dataset.from_list(rows).select(taken)


def _size(training: Training, rows: int) -> int:
    """Lessons of one optimizer step, of all processes together: as many for each."""
    return max(1, _wanted(training, rows) // ranks.size()) * ranks.size()


def _wanted(training: Training, rows: int) -> int:
    return min(training.job.plan.cases_per_step, rows)


class Offline(Rated):
    """Mixed into TRL's trainers: the training's model, and a rate that falls along a cosine after a short warm-up."""

    cosine = True

    def __init__(self, training: Training, **kwargs: Any) -> None:
        self.warmup = max(1, math.ceil(training.job.plan.steps / 10))
        own: dict[str, Any] = {"model": training.model, "processing_class": training.tokenizer}
        super().__init__(**own | kwargs)
