"""DPO: of two answers to one prompt the better paid is made likelier, against the policy that gave both.

Rafailov et al. 2023 (arXiv 2305.18290), by TRL's trainer; its beta is the plan's `kl`. For a verifier that ranks answers
but gives no absolute score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from datasets import Dataset
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from sia_tui.weights.lessons import order, pairs
from sia_tui.weights.looks import Rated, Training
from sia_tui.weights.protocol import Rollout

BETA = 0.1
"""Where the plan has no KL, which DPO cannot do without: TRL's own default."""


def train(training: Training, groups: Sequence[Sequence[Rollout]]) -> None:
    """Raises TrainingFailed when no case has two rollouts that are paid differently."""
    plan = training.job.plan
    found = pairs(groups, plan.seed)
    training.learned_once([rollout for better, worse, _ in found for rollout in (better, worse)])
    size = min(plan.cases_per_step, len(found))
    longest = max(len(pair.prompt_ids) + max(map(len, (pair.chosen_ids, pair.rejected_ids))) for *_, pair in found)
    arguments = DPOConfig(
        **training.arguments(),
        **training.accumulated(size, 2 * longest),
        train_sampling_strategy="sequential",
        max_length=None,
        beta=plan.kl or BETA,
    )
    rows = Dataset.from_list([asdict(pair) for *_, pair in found])
    training.run(
        Preference(
            warmup=max(1, math.ceil(plan.steps / 10)),
            model=training.model,
            args=arguments,
            train_dataset=rows.select(order(len(found), plan.steps * size, plan.seed)),
            processing_class=training.tokenizer,
        )
    )


class Preference(Rated, DPOTrainer):
    cosine = True

    def __init__(self, *, warmup: int, **kwargs: Any) -> None:
        self.warmup = warmup
        super().__init__(**kwargs)

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        """The token ids are there as they were sampled."""
        return dataset
