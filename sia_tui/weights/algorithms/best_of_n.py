"""Best-of-n: verified successes, cloned by TRL's supervised trainer; only sampled tokens carry loss.

Rejection sampling, e.g. Dong et al. 2023 (arXiv 2304.06767): one success a case, the elite of all where rewards are graded
(`lessons.select`). The cold start, where nearly nothing passes yet.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer
from trl.trainer.utils import pad

from sia_tui.weights.lessons import select
from sia_tui.weights.looks import Training
from sia_tui.weights.offline import Offline, drawn, settings
from sia_tui.weights.protocol import Rollout

IGNORED = -100
"""Label of a token without loss."""


def train(training: Training, groups: Sequence[Sequence[Rollout]]) -> None:
    """Raises TrainingFailed when no rollout solved its case."""
    lessons = select(groups, training.job.plan.seed)
    training.learned_once(lessons)
    longest = max(sum(len(call.prompt_ids) + len(call.completion_ids) for call in lesson.calls) for lesson in lessons)
    training.run(
        Cloning(
            training,
            args=SFTConfig(**settings(training, len(lessons), longest), dataset_kwargs={"skip_prepare_dataset": True}),
            train_dataset=drawn(training, [_episode(lesson) for lesson in lessons]),
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


class Cloning(Offline, SFTTrainer): ...
