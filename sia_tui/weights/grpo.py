"""GRPO with rollouts from outside: TRL's loss and loop, the engine's episodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from datasets import Dataset
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from sia_tui.weights.groups import Row, in_groups, merged, rows, summary, useful
from sia_tui.weights.looks import Rated, Training

CELLS = {"cpu": 2_048, "cuda": 32_768}
"""Tokens, padding included, of one forward and backward pass; a step of more is cut into several.

A core is fastest while a pass stays in its cache: half the time of 32,768 (1.4 M parameters, 128 rows of 215 tokens).
"""

Batch = dict[str, torch.Tensor]


def train(training: Training) -> None:
    training.run(make(training))


def make(training: Training) -> ExternalGRPO:
    plan = training.job.plan
    arguments = GRPOConfig(
        **training.arguments(),
        # TRL's own batches are empty: they only count the optimizer steps.
        per_device_train_batch_size=2,
        num_generations=2,
        beta=0.0,
        loss_type="grpo",
        epsilon=plan.clip,
    )
    return ExternalGRPO(
        training,
        model=training.model,
        reward_funcs=_no_reward,
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": [""] * plan.steps}),
        processing_class=training.tokenizer,
    )


def _no_reward(**_: Any) -> list[float]:
    """TRL wants a reward function to be there; rewards come with the rollouts."""
    raise AssertionError("rewards come with the rollouts")


class ExternalGRPO(Rated, GRPOTrainer):
    """TRL's GRPO whose steps learn from the engine's rollouts instead of generating their own.

    What it leans on in TRL is pinned by tests: `compute_loss` over a dict of tensors, and the per-token logprobs that
    it computes on the way.
    """

    cosine = False

    def __init__(self, training: Training, **kwargs: Any) -> None:
        self._training = training
        self.warmup = max(1, min(10, training.job.plan.steps // 10))
        self._seen: tuple[torch.Tensor, torch.Tensor]
        super().__init__(**kwargs)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Roll out, then accumulate the gradient of the whole step.

        Without a group that has spread there is no gradient at all, not a zero one: the optimizer passes over
        parameters without a gradient, so neither momentum nor weight decay moves them.
        """
        groups = self._rolled_out(self.state.global_step)
        learned = [group for group in groups if useful(group)]
        self._training.progress.learned([rollout for group in learned for rollout in group])
        loss = self.learn(model, merged(rows(learned)))
        self._training.values |= summary(groups)
        return loss

    def learn(self, model: Any, found: Sequence[Row]) -> torch.Tensor:
        """Accumulate the gradient of these rows' loss and note its measures; returns the loss."""
        model.train()
        loss = torch.zeros((), device=self.accelerator.device)
        sums = torch.zeros(5, dtype=torch.float64)
        for part in parts(found, CELLS.get(self.accelerator.device.type, CELLS["cuda"])):
            inputs = self._on_device(batch(part, self._tokenizer.pad_token_id))
            # TRL takes the mean over the part's rows; a row's share of the step's loss rides on its advantage.
            part_loss = self.compute_loss(model, inputs)
            self.accelerator.backward(part_loss)
            loss += part_loss.detach()
            sums += self._measured(inputs, torch.tensor([row.count for row in part]))
        if found:
            self._training.values |= _means(sums)
        return loss

    def _rolled_out(self, step: int) -> list[Any]:
        training = self._training
        plan, turn = training.job.plan, training.progress.turn
        cases = turn.take(training.job.cases, plan.cases_per_step)
        adapter = training.step_adapter(step)
        training.forget(step)
        asked = training.pipe.ask("train", cases, samples=plan.samples, adapter=adapter, step=step)
        rollouts = training.pipe.answer(asked)
        training.progress.met(rollouts)
        groups = in_groups(rollouts, plan.samples)
        for case, group in zip(cases, groups, strict=True):
            turn.saw(case, [rollout.reward for rollout in group])
        return groups

    def _on_device(self, inputs: Batch) -> Batch:
        return {name: tensor.to(self.accelerator.device) for name, tensor in inputs.items()}

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        self._seen = found[0].detach(), found[1].detach()
        return found

    def _measured(self, inputs: Batch, counts: torch.Tensor) -> torch.Tensor:
        """Sums over sampled tokens: 1, |gap|, ratio, clipped, entropy."""
        logps, entropies = self._seen
        mask = inputs["completion_mask"].bool()
        change = (logps - inputs["old_per_token_logps"])[mask]
        signs = inputs["advantages"].sign()[:, None].expand_as(mask)[mask]
        ratio, clip = change.exp(), self._training.job.plan.clip
        clipped = ((ratio < 1 - clip) & (signs < 0)) | ((ratio > 1 + clip) & (signs > 0))
        columns = torch.stack([torch.ones_like(ratio), change.abs(), ratio, clipped.float(), entropies[mask]])
        weights = counts.to(mask.device)[:, None].expand_as(mask)[mask]
        return (columns.double() * weights).sum(1).cpu()


def _means(sums: torch.Tensor) -> dict[str, float]:
    names = ("gap", "ratio", "clip", "entropy")
    return dict(zip(names, (sums[1:] / sums[0]).tolist(), strict=True))


def parts(found: Sequence[Row], cells: int) -> Iterator[list[Row]]:
    """Rows of like length together, so that little is padding; at most `cells` tokens a part, and at least a row."""
    part: list[Row] = []
    prompt = completion = 0
    for row in sorted(found, key=lambda row: (len(row.prompt_ids) + len(row.completion_ids), len(row.prompt_ids))):
        prompt, completion = max(prompt, len(row.prompt_ids)), max(completion, len(row.completion_ids))
        if part and (prompt + completion) * (len(part) + 1) > cells:
            yield part
            part, prompt, completion = [], len(row.prompt_ids), len(row.completion_ids)
        part.append(row)
    if part:
        yield part


def batch(part: Sequence[Row], pad: int) -> Batch:
    """The dict that TRL's `compute_loss` reads: prompts padded left, completions right.

    TRL's loss is the mean over rows; scaled by the number of rows and the row's share, advantages give each row the
    share of the step's loss that it has, however the step was cut. (Without a KL term the loss is linear in the
    advantage's size: clipping depends on its sign alone.)
    """
    left = max(len(row.prompt_ids) for row in part)
    right = max(len(row.completion_ids) for row in part)
    made: Batch = {
        "prompt_ids": torch.full((len(part), left), pad),
        "prompt_mask": torch.zeros((len(part), left), dtype=torch.long),
        "completion_ids": torch.full((len(part), right), pad),
        "completion_mask": torch.zeros((len(part), right), dtype=torch.long),
        "old_per_token_logps": torch.zeros(len(part), right),
        "advantages": torch.tensor([row.advantage * row.share * len(part) for row in part]),
    }
    for place, row in enumerate(part):
        start, end = left - len(row.prompt_ids), len(row.completion_ids)
        made["prompt_ids"][place, start:] = torch.tensor(row.prompt_ids)
        made["prompt_mask"][place, start:] = 1
        made["completion_ids"][place, :end] = torch.tensor(row.completion_ids)
        made["completion_mask"][place, :end] = 1
        made["old_per_token_logps"][place, :end] = torch.tensor(row.logprobs)
    return made
