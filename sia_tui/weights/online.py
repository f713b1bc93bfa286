"""The algorithms that learn from fresh rollouts each step: TRL's loss and loop, the engine's episodes, our advantages."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from sia_tui.core.memory import MICRO_TOKENS
from sia_tui.core.plans import COMPARING
from sia_tui.weights import ranks
from sia_tui.weights.advantages import shaped
from sia_tui.weights.algorithms import Train
from sia_tui.weights.groups import in_groups, summary, useful
from sia_tui.weights.looks import Rated, Training
from sia_tui.weights.measures import Measures
from sia_tui.weights.progress import Asked
from sia_tui.weights.protocol import Rollout
from sia_tui.weights.sequences import Batch, Row, Weighting, batch, blank, merged, parts, rows, shared, weighted

WATCHED = 16
"""Rows whose KL to the base is computed when nothing depends on it: it costs a forward pass each."""
UNCLIPPED = 1e6
"""TRL's cispo loss with this upper bound is plain importance sampling: the ratio, detached, times the advantage."""

NO_MEMORY = "can't allocate memory"
"""How torch's allocator for the CPU says it, as a RuntimeError."""

Groups = Sequence[Sequence[Rollout]]


@dataclass(frozen=True)
class Estimator:
    """What makes an online algorithm: how rewards become advantages, and what the loss does with them."""

    advantages: Callable[[torch.Tensor], torch.Tensor]
    """`(groups, samples)` to the same; see `advantages`."""
    clipped: bool = True
    """PPO's clipped ratio; else the ratio is a plain, detached weight."""
    weighting: Weighting = "episode"


def learner(estimator: Estimator) -> Train:
    """What an algorithm's file calls its `train`."""

    def train(training: Training, groups: Groups) -> None:
        training.run(make(training, estimator))

    return train


def make(training: Training, estimator: Estimator, kind: type[Online] | None = None) -> Online:
    plan = training.job.plan
    arguments = GRPOConfig(
        **training.arguments(),
        # TRL's own batches are empty: they only count the optimizer steps.
        per_device_train_batch_size=2,
        num_generations=2,
        # The KL is in the advantages, where its sampled estimate belongs to the token that it was sampled with.
        beta=0.0,
        # Both sum over tokens, whose weights are in the advantages.
        loss_type="dapo" if estimator.clipped else "cispo",
        epsilon=plan.clip,
        epsilon_high=plan.clip if estimator.clipped else UNCLIPPED,
        temperature=plan.temperature,
    )
    return (kind or Online)(
        training,
        estimator,
        model=training.model,
        reward_funcs=_no_reward,
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": [""] * plan.steps}),
        processing_class=training.tokenizer,
    )


def _no_reward(**_: Any) -> list[float]:
    """TRL wants a reward function to be there; rewards come with the rollouts."""
    raise AssertionError("rewards come with the rollouts")


class Online(Rated, GRPOTrainer):
    """TRL's GRPO trainer whose steps learn from the engine's rollouts instead of generating their own.

    What it leans on in TRL is pinned by tests: `compute_loss` over a dict of tensors, and the per-token logprobs that
    it computes on the way.
    """

    cosine = False

    def __init__(self, training: Training, estimator: Estimator, **kwargs: Any) -> None:
        self.training, self.estimator = training, estimator
        self.warmup = max(1, min(10, training.job.plan.steps // 10))
        self._seen: tuple[torch.Tensor, torch.Tensor]
        super().__init__(**kwargs)
        device = self.accelerator.device.type
        self._cells = training.job.micro_tokens or MICRO_TOKENS["cpu" if device == "cpu" else "cuda"]
        self._halved = False

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Roll out, then accumulate the gradient of the whole step.

        Without anything to learn there is no gradient at all, not a zero one: the optimizer passes over parameters
        without a gradient, so neither momentum nor weight decay moves them.
        """
        groups = self._rolled_out(self.state.global_step)
        compares = self.training.job.plan.algorithm in COMPARING
        learned = [group for group in groups if useful(group)] if compares else groups
        self.training.values |= summary(groups)
        self.training.progress.learned([rollout for group in learned for rollout in group])
        try:
            return self._learn_from(model, learned)
        except (RuntimeError, MemoryError) as error:
            self._halve(error)
        model.zero_grad(set_to_none=True)
        gc.collect()
        return self._learn_from(model, learned)

    def _learn_from(self, model: Any, learned: Groups) -> torch.Tensor:
        model.train()
        # Not even a last bit of an advantage may differ between processes: it decides which rows are equal.
        found = ranks.first(self.rows(model, learned))
        if found:
            self.training.values["shared_prefix"] = shared([one for group in learned for one in group], found)
        return self.learn(model, found)

    def rows(self, model: Any, groups: Groups) -> list[Row]:
        """What is trained of some groups, with advantages."""
        if not groups:
            return []
        rewards = torch.tensor([[one.reward for one in group] for group in groups], dtype=torch.float64)
        paid = self.estimator.advantages(rewards).flatten().tolist()
        self.note_advantages(paid)
        episodes = zip((one for group in groups for one in group), paid, strict=True)
        plan = self.training.job.plan
        return merged(row for one in rows(episodes, self.estimator.weighting, plan.max_tokens) for row in one)

    def note_advantages(self, paid: Sequence[float]) -> None:
        found = torch.tensor(paid, dtype=torch.float64)
        self.training.values |= {
            "advantage/min": float(found.min()),
            "advantage/max": float(found.max()),
            "advantage/std": float(found.std(correction=0)),
        }

    def learn(self, model: Any, found: Sequence[Row]) -> torch.Tensor:
        """Accumulate the gradient of these rows' loss and note its measures; returns the loss."""
        model.train()
        loss = torch.zeros((), device=self.accelerator.device)
        measures = Measures(self.training.job.plan.clip if self.estimator.clipped else math.inf)
        made = list(self._shaped(model, found))
        for number, (_, inputs) in enumerate(made, 1):
            # Gradients are put together with those of other processes once, with the last part's.
            with nullcontext() if number == len(made) else self.accelerator.no_sync(model):
                part_loss = self.compute_loss(model, weighted(inputs))
                self.accelerator.backward(part_loss)
            loss += part_loss.detach()
            measures.add(inputs, *self._seen)
        mine, *others = ranks.everyone(measures)
        for other in others:
            mine.join(other)
        self.training.values |= mine.means()
        return loss

    def batches(self, found: Sequence[Row]) -> Iterator[tuple[list[int], Batch]]:
        """This process' share of the rows, in parts by their places, as tensors on the device.

        Every process has as many parts of as many rows; where its share is smaller, blank rows come last.
        """
        for whole in parts(found, self._cells * ranks.size()):
            part = whole[ranks.rank() :: ranks.size()]
            missing = -(-len(whole) // ranks.size()) - len(part)
            rows = [found[place] for place in part] + [blank(found[whole[0]])] * missing
            made = batch(rows, self._tokenizer.pad_token_id)
            yield part, {name: tensor.to(self.accelerator.device) for name, tensor in made.items()}

    def logps(self, model: Any, inputs: Batch) -> torch.Tensor:
        """Of the tokens after the prompt under the model as it is, `(rows, tokens)`, without a gradient."""
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
        mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
        with torch.no_grad():
            found = super()._get_per_token_logps_and_entropies(model, ids, mask, inputs["completion_ids"].shape[1])
        logps: torch.Tensor = found[0]
        return logps

    def _shaped(self, model: Any, found: Sequence[Row]) -> Iterator[tuple[list[int], Batch]]:
        """The parts, with what KL to the base and entropy bonus add to the advantages; notes the KL."""
        plan = self.training.job.plan
        if plan.kl == 0 == plan.entropy:
            self._note_kl(model, sorted(found, key=lambda row: -row.count)[:WATCHED])
            yield from self.batches(found)
            return
        made = list(self.batches(found))
        cost = [self._to_base(model, inputs) for _, inputs in made]
        self._kl(made, cost)
        if not made:
            return
        own, base = (torch.cat([tensor.flatten() for tensor in some]) for some in zip(*cost, strict=True))
        weights = torch.cat([inputs["weights"].flatten() for _, inputs in made])
        shares = ranks.everyone((own.cpu(), base.cpu(), weights.cpu()))
        all_own, all_base, all_weights = (torch.cat(some) for some in zip(*shares, strict=True))
        everything = shaped(all_own, all_base, all_weights, plan.kl, plan.entropy)
        before = sum(len(share[0]) for share in shares[: ranks.rank()])
        added = everything[before : before + len(own)].to(own.device)
        for part, inputs in made:
            size = inputs["advantages"].numel()
            here, added = added[:size].view_as(inputs["advantages"]), added[size:]
            yield part, inputs | {"advantages": inputs["advantages"] + here}

    def _note_kl(self, model: Any, found: Sequence[Row]) -> None:
        made = list(self.batches(found))
        self._kl(made, [self._to_base(model, inputs) for _, inputs in made])

    def _kl(
        self,
        made: Sequence[tuple[list[int], Batch]],
        cost: Sequence[tuple[torch.Tensor, torch.Tensor]],
    ) -> None:
        """Mean over sampled tokens of exp(d) - d - 1, d = log p_base - log p (Schulman's k3): never below zero."""
        total = tokens = 0.0
        for (_, inputs), (own, base) in zip(made, cost, strict=True):
            sampled, change = inputs["tool_mask"] * inputs["counts"][:, None], base - own
            total += float(((change.exp() - change - 1) * sampled).double().sum())
            tokens += int(sampled.sum())
        total, tokens = (sum(shares) for shares in zip(*ranks.everyone((total, tokens)), strict=True))
        if tokens:
            self.training.values["kl"] = total / tokens

    def _to_base(self, model: Any, inputs: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Logprobs of the sampled tokens, `(rows, tokens)`: of the policy as it is, and of the base without adapter."""
        own = self.logps(model, inputs)
        with self.accelerator.unwrap_model(model).disable_adapter():
            return own, self.logps(model, inputs)

    def _rolled_out(self, step: int) -> Groups:
        """The step's groups; those of the next `staleness` steps are asked for as well, and made in the meantime."""
        training = self.training
        plan, progress = training.job.plan, training.progress
        last = max((asked.step for asked in progress.asked), default=step - 1)
        for ahead in range(last + 1, min(step + plan.staleness, plan.steps - 1) + 1):
            cases = progress.turn.take(training.job.cases, plan.cases_per_step)
            training.step_adapter(step)
            first = tuple(times * plan.samples for times in progress.turn.before(cases))
            progress.asked.append(Asked(step=ahead, adapter=step, cases=tuple(cases), first=first))
        training.forget(step)
        with training.aside():
            training.ask_ahead()
            asked, rollouts = training.answered(step)
        progress.met(rollouts)
        groups = in_groups(rollouts, plan.samples)
        for case, group in zip(asked.cases, groups, strict=True):
            progress.turn.saw(case, [rollout.reward for rollout in group])
        training.values["staleness"] = float(step - asked.adapter)
        return groups

    def _halve(self, error: BaseException) -> None:
        """Short of memory, the step is made once more in passes of half the size. Raises anything else, and a second time."""
        short = isinstance(error, torch.OutOfMemoryError | MemoryError) or NO_MEMORY in str(error)
        # Of several processes the others are waiting for this one amid the step.
        if self._halved or not short or ranks.size() > 1:
            raise error
        self._halved, self._cells = True, max(1, self._cells // 2)
        self.training.pipe.notice(f"short of memory: passes of {self._cells} tokens from here on, half as many")

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        self._seen = found[0].detach(), found[1].detach()
        return found
