"""From rollouts to the token sequences that are trained, each shared beginning once.

Calls of one episode whose prompt is exactly what an earlier call read and said, and then some, make one sequence with it:
token ids are compared as they were recorded, so a chat template that drops or rewrites an earlier turn begins another
sequence, and nothing is ever tokenised again. Only sampled tokens weigh anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

from sia_tui.weights.protocol import Rollout, SampledCall

Weighting = Literal["episode", "constant"]
"""How tokens share an episode's weight. `episode`: evenly over its calls, in each evenly over its tokens, so that it
counts once whatever its length. `constant`: every token the same part of a length that is the same for all (Dr. GRPO)."""

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Row:
    """A prompt, and after it what an episode sampled, with what the harness put in between."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Of the sampled tokens under the policy that sampled them; 0 for the others."""
    weights: tuple[float, ...]
    """Of each token's loss in the step's; 0 for tokens that nobody sampled."""
    advantages: tuple[float, ...]
    count: int = 1
    """Equal rows that this one stands for."""

    @property
    def tokens(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


@dataclass
class _Open:
    """A sequence to which a later call of the episode may be added."""

    prompt_ids: tuple[int, ...]
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def goes_on_in(self, call: SampledCall) -> bool:
        read = (*self.prompt_ids, *self.ids)
        return len(read) < len(call.prompt_ids) and call.prompt_ids[: len(read)] == read

    def add(self, call: SampledCall, weight: float) -> None:
        between = call.prompt_ids[len(self.prompt_ids) + len(self.ids) :]
        self.ids += [*between, *call.completion_ids]
        self.logprobs += [0.0] * len(between) + list(call.logprobs)
        self.weights += [0.0] * len(between) + [weight] * len(call.completion_ids)


def sequences(rollout: Rollout, weighting: Weighting = "episode", length: int = 1) -> list[Row]:
    """The rows of one episode, whose weights add up to 1 (`constant`: to its sampled tokens / `length`); advantages 0."""
    spoken = [call for call in rollout.calls if call.completion_ids]
    found: list[_Open] = []
    for call in spoken:
        weight = 1 / (len(spoken) * len(call.completion_ids)) if weighting == "episode" else 1 / length
        before = [one for one in found if one.goes_on_in(call)]
        if not before:
            found.append(_Open(call.prompt_ids))
        max(before, key=lambda one: len(one.ids), default=found[-1]).add(call, weight)
    return [
        Row(one.prompt_ids, tuple(one.ids), tuple(one.logprobs), tuple(one.weights), (0.0,) * len(one.ids))
        for one in found
    ]


def rows(
    episodes: Iterable[tuple[Rollout, float]], weighting: Weighting = "episode", length: int = 1
) -> list[list[Row]]:
    """By episode that said anything: its rows with its advantage on every token and 1 / (such episodes) of the weight."""
    spoke = [(found, advantage) for rollout, advantage in episodes if (found := sequences(rollout, weighting, length))]
    return [
        [
            replace(
                row,
                weights=tuple(weight / len(spoke) for weight in row.weights),
                advantages=tuple(advantage if weight else 0.0 for weight in row.weights),
            )
            for row in found
        ]
        for found, advantage in spoke
    ]


def merged(found: Iterable[Row]) -> list[Row]:
    """Equal rows, with advantages of the same signs, made one whose gradient is the sum of theirs; as they first came.

    Samples of a short answer are mostly equal, and a row costs as much whatever it weighs.
    """
    alike: dict[Any, list[Row]] = {}
    for row in found:
        signs = tuple((advantage > 0) - (advantage < 0) for advantage in row.advantages)
        alike.setdefault((row.prompt_ids, row.completion_ids, row.logprobs, signs), []).append(row)
    return [same[0] if len(same) == 1 else _one(same) for same in alike.values()]


def _one(same: Sequence[Row]) -> Row:
    weights = [math.fsum(row.weights[place] for row in same) for place in range(len(same[0].weights))]
    gains = [
        math.fsum(row.advantages[place] * row.weights[place] for row in same) for place in range(len(same[0].weights))
    ]
    advantages = tuple(gain / weight if weight else 0.0 for gain, weight in zip(gains, weights, strict=True))
    return replace(same[0], weights=tuple(weights), advantages=advantages, count=sum(row.count for row in same))


def shared(episodes: Iterable[Rollout], trained: Iterable[Row]) -> float:
    """Share of the tokens that calls read and said which need not be computed: shared beginnings, and equal calls."""
    read = sum(len(call.prompt_ids) + len(call.completion_ids) for one in episodes for call in one.calls)
    return 1 - sum(row.tokens for row in trained) / read if read else 0.0


def parts(found: Sequence[Row], cells: int) -> Iterator[list[int]]:
    """Places of rows of like length together, so that little is padding; at most `cells` tokens a part, at least a row."""
    part: list[int] = []
    prompt = completion = 0
    for place in sorted(range(len(found)), key=lambda place: (found[place].tokens, len(found[place].prompt_ids))):
        row = found[place]
        prompt, completion = max(prompt, len(row.prompt_ids)), max(completion, len(row.completion_ids))
        if part and (prompt + completion) * (len(part) + 1) > cells:
            yield part
            part, prompt, completion = [], len(row.prompt_ids), len(row.completion_ids)
        part.append(place)
    if part:
        yield part


def blank(row: Row) -> Row:
    """One of the same shape that teaches nothing: processes that compute together must be given equally many rows."""
    return replace(row, weights=(0.0,) * len(row.weights), count=0)


def batch(part: Sequence[Row], pad: int) -> Batch:
    """The dict that TRL's `compute_loss` reads: prompts padded left, what follows right; `(rows, tokens)`.

    `weights`, `counts` and bare advantages are ours; `weighted` turns them into the advantages that TRL multiplies with.
    """
    left = max(len(row.prompt_ids) for row in part)
    right = max(len(row.completion_ids) for row in part)

    def laid(values: Sequence[Sequence[float]], kind: torch.dtype, fill: int = 0) -> torch.Tensor:
        made = torch.full((len(values), right), fill, dtype=kind)
        for place, row in enumerate(values):
            made[place, : len(row)] = torch.tensor(row, dtype=kind)
        return made

    prompts = torch.full((len(part), left), pad)
    for place, row in enumerate(part):
        prompts[place, left - len(row.prompt_ids) :] = torch.tensor(row.prompt_ids)
    lengths = torch.tensor([len(row.prompt_ids) for row in part])
    return {
        "prompt_ids": prompts,
        "prompt_mask": (torch.arange(left) >= left - lengths[:, None]).long(),
        "completion_ids": laid([row.completion_ids for row in part], torch.long, pad),
        "completion_mask": laid([[1] * len(row.completion_ids) for row in part], torch.long),
        "tool_mask": laid([[int(weight > 0) for weight in row.weights] for row in part], torch.long),
        "old_per_token_logps": laid([row.logprobs for row in part], torch.float32),
        "advantages": laid([row.advantages for row in part], torch.float32),
        "weights": laid([row.weights for row in part], torch.float32),
        "counts": torch.tensor([row.count for row in part]),
        # Of the loss that is summed over tokens, whose parts then add up to the step's.
        "num_items_in_batch": torch.ones(()),
    }


def weighted(inputs: Batch) -> Batch:
    """With each token's weight in its advantage, on which the loss depends linearly: clipping looks at signs alone."""
    return inputs | {"advantages": inputs["advantages"] * inputs["weights"]}
