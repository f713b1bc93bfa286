"""DPO: of two answers to one prompt the better paid is made likelier, against the policy that gave both.

Rafailov et al. 2023 (arXiv 2305.18290), by TRL's trainer; its beta is the plan's `kl`. For a verifier that ranks answers
but gives no absolute score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from sia_tui.weights.lessons import pairs
from sia_tui.weights.looks import Training
from sia_tui.weights.offline import Offline, drawn, settings
from sia_tui.weights.protocol import Rollout

BETA = 0.1
"""Where the plan has no KL, which DPO cannot do without: TRL's own default."""


def train(training: Training, groups: Sequence[Sequence[Rollout]]) -> None:
    """Raises TrainingFailed when no case has two rollouts that are paid differently."""
    plan = training.job.plan
    found = pairs(groups, plan.seed)
    training.learned_once([rollout for better, worse, _ in found for rollout in (better, worse)])
    longest = max(len(pair.prompt_ids) + max(map(len, (pair.chosen_ids, pair.rejected_ids))) for *_, pair in found)
    training.run(
        Preference(
            training,
            args=DPOConfig(**settings(training, len(found), 2 * longest), beta=plan.kl or BETA),
            train_dataset=drawn(training, [asdict(pair) for *_, pair in found]),
        )
    )


class Preference(Offline, DPOTrainer):
    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        """The token ids are there as they were sampled."""
        return dataset
