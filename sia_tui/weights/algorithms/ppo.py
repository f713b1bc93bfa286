"""PPO with generalised advantage estimation: a value head says what each token was expected to earn.

Schulman et al. 2017 (arXiv 1707.06347); for dense rewards where stability binds. The value head is ours (TRL has none since
1.13) and reads the policy's own last hidden states without changing them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from sia_tui.weights import ranks
from sia_tui.weights.advantages import TINY, gae, reinforce
from sia_tui.weights.looks import Training
from sia_tui.weights.online import Estimator, Groups, Online, make
from sia_tui.weights.progress import CRITIC
from sia_tui.weights.sequences import Row, merged, sequences
from sia_tui.weights.value import Critic

ESTIMATOR = Estimator(reinforce)
"""What the loss is told; the advantages are those of the value head."""


def train(training: Training, groups: Groups) -> None:
    training.run(make(training, ESTIMATOR, PPO))


class PPO(Online):
    def __init__(self, training: Training, estimator: Estimator, **kwargs: Any) -> None:
        super().__init__(training, estimator, **kwargs)
        plan = training.job.plan
        self._critic = Critic(training.model.config.get_text_config().hidden_size, plan.clip, plan.seed)
        training.keeps[CRITIC] = self._critic

    def rows(self, model: Any, groups: Groups) -> list[Row]:
        """Each episode's sampled tokens are one series, however many calls they were sampled in; the last one is paid.

        None while the value head warms up.
        """
        plan = self.training.job.plan
        spoke = [(one.reward, found) for group in groups for one in group if (found := sequences(one))]
        if not spoke:
            return []
        states = self._states(model, [row for _, found in spoke for row in found])
        lengths = torch.tensor([sum(weight > 0 for row in found for weight in row.weights) for _, found in spoke])
        series = pad_sequence(list(torch.split(torch.cat(states), lengths.tolist())), batch_first=True)
        mask = (torch.arange(series.shape[1]) < lengths[:, None]).to(series)
        paid = torch.zeros_like(mask)
        paid[torch.arange(len(spoke)), lengths - 1] = torch.tensor([reward for reward, _ in spoke]).to(paid)
        values = self._critic.values(series) * mask
        advantages = gae(paid, values, mask, plan.gamma, plan.gae_lambda)
        self.training.values |= self._critic.learn(series, values, advantages + values, mask)
        if self.state.global_step < plan.value_warmup:
            return []
        inside = advantages[mask.bool()]
        self.note_advantages(inside.tolist())
        even = (advantages - inside.mean()) / (inside.std(correction=0) + TINY)
        episodes = zip((found for _, found in spoke), even.tolist(), strict=True)
        return merged(row for found, series in episodes for row in _with(found, series, 1 / len(spoke)))

    def _states(self, model: Any, found: Sequence[Row]) -> list[torch.Tensor]:
        """By row: `(sampled tokens, hidden)` on the CPU, the last hidden state from which each was sampled."""
        seen: list[torch.Tensor] = []
        base = self.accelerator.unwrap_model(model).get_base_model()
        hook = base.get_decoder().register_forward_hook(lambda _, __, output: seen.append(output.last_hidden_state))
        states: dict[int, torch.Tensor] = {}
        try:
            for part, inputs in self.batches(found):
                self.logps(model, inputs)
                width = inputs["completion_ids"].shape[1]
                # A token is sampled from the state of the position before it.
                before = seen.pop()[:, -width - 1 : -1].float().cpu()
                sampled = inputs["tool_mask"].bool().cpu()
                states |= {place: before[at][sampled[at]] for at, place in enumerate(part)}
        finally:
            hook.remove()
        states = {place: state for share in ranks.everyone(states) for place, state in share.items()}
        return [states[place] for place in range(len(found))]


def _with(found: Sequence[Row], advantages: Sequence[float], share: float) -> Iterator[Row]:
    """The rows of one episode, with the advantages of its sampled tokens in their order and `share` of the step."""
    left = iter(advantages)
    for row in found:
        given = tuple(next(left) if weight else 0.0 for weight in row.weights)
        yield replace(row, weights=tuple(weight * share for weight in row.weights), advantages=given)
