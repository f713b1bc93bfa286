"""Best-of-n: one verified success a case, cloned by TRL's supervised trainer; only sampled tokens carry loss.

Rejection sampling, e.g. Dong et al. 2023 (arXiv 2304.06767). The cold start, where nearly nothing passes yet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer
from trl.trainer.utils import pad

from sia_tui.weights.lessons import order, select
from sia_tui.weights.looks import Rated, Training
from sia_tui.weights.protocol import Rollout

IGNORED = -100
"""Label of a token without loss."""


def train(training: Training, groups: Sequence[Sequence[Rollout]]) -> None:
    """Raises TrainingFailed when no rollout solved its case."""
    plan = training.job.plan
    lessons = select(groups, plan.seed)
    training.learned_once(lessons)
    size = min(plan.cases_per_step, len(lessons))
    longest = max(sum(len(call.prompt_ids) + len(call.completion_ids) for call in lesson.calls) for lesson in lessons)
    arguments = SFTConfig(
        **training.arguments(),
        **training.accumulated(size, longest),
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
    )
    episodes = Dataset.from_list([_episode(lesson) for lesson in lessons])
    training.run(
        Cloning(
            warmup=max(1, math.ceil(plan.steps / 10)),
            model=training.model,
            args=arguments,
            train_dataset=episodes.select(order(len(lessons), plan.steps * size, plan.seed)),
            processing_class=training.tokenizer,
            data_collator=_Calls(training.tokenizer.pad_token_id or 0),
        )
    )


def _episode(rollout: Rollout) -> dict[str, list[list[int]]]:
    calls = [call for call in rollout.calls if call.completion_ids]
    return {
        "input_ids": [[*call.prompt_ids, *call.completion_ids] for call in calls],
        "labels": [[IGNORED] * len(call.prompt_ids) + list(call.completion_ids) for call in calls],
    }


class _Calls:
    """Lays the calls of some episodes under one another, their ends aligned: completions share the last columns."""

    def __init__(self, pad: int) -> None:
        self._pad = pad

    def __call__(self, episodes: Sequence[dict[str, list[list[int]]]]) -> dict[str, torch.Tensor]:
        ids = [torch.tensor(call) for episode in episodes for call in episode["input_ids"]]
        labels = [torch.tensor(call) for episode in episodes for call in episode["labels"]]
        return {
            "input_ids": pad(ids, padding_value=self._pad, padding_side="left"),
            "labels": pad(labels, padding_value=IGNORED, padding_side="left"),
            "attention_mask": pad([torch.ones_like(call) for call in ids], padding_value=0, padding_side="left"),
        }


class Cloning(Rated, SFTTrainer):
    cosine = True

    def __init__(self, *, warmup: int, **kwargs: Any) -> None:
        self.warmup = warmup
        super().__init__(**kwargs)
