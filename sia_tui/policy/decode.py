"""The decoding loop: prompts in, sampled tokens with raw-model logprobs out.

An own loop in place of `model.generate`, for what a gateway needs and that does not offer: every row has its own
temperature, top_p, top_k, limits and seed, is handed over in the step in which it ends, and leaves the batch; equal
prompts are read once; logprobs cost one float a token, not a vocabulary.

Sampling inverts the cumulative distribution at one uniform number a token, drawn from a generator per row. So a row's
tokens are a function of its seed and its logits alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sia_tui.policy.rows import Completion, FinishReason, Row

KEEP_SHARE = 0.75
"""Ended rows are cut out of the batch once the living are at most this share of it: cutting copies the cache."""

Hooks = Callable[[Sequence[str | None]], AbstractContextManager[Any]]
"""Makes a model's forward pass use one adapter per row, in the order given, while the context is open."""


@dataclass
class Live:
    """A row that is being sampled."""

    index: int
    row: Row
    draws: random.Random
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    over: bool = False


class Sampler:
    """Chooses the next token of every row of a batch; built anew when rows leave."""

    def __init__(self, rows: Sequence[Row], device: torch.device) -> None:
        self._hot = torch.tensor([not row.greedy for row in rows], device=device)
        self._any_hot = any(not row.greedy for row in rows)
        temperatures = [1.0 if row.greedy else row.temperature for row in rows]
        self._tempered = any(row.tempered and row.temperature != 1.0 for row in rows)
        shown = [row.temperature if row.tempered and not row.greedy else 1.0 for row in rows]
        self._shown = torch.tensor(shown, device=device)[:, None]
        self._heated = any(value != 1.0 for value in temperatures)
        self._temperature = torch.tensor(temperatures, device=device)[:, None]
        self._filtered = any(not row.greedy and (row.top_p < 1.0 or row.top_k > 0) for row in rows)
        self._top_p = torch.tensor([row.top_p for row in rows], device=device)[:, None]
        self._top_k = torch.tensor([row.top_k or 2**31 for row in rows], device=device)[:, None]

    def choose(self, logits: Tensor, draws: Sequence[float]) -> tuple[list[int], list[float]]:
        """The token of each row of `logits` (rows, vocabulary; float32) and its logprob: at temperature 1, of tempered rows at
        their own."""
        normaliser = torch.logsumexp(logits, dim=-1, keepdim=True)
        chosen = logits.argmax(dim=-1)
        if self._any_hot:
            chosen = torch.where(self._hot, self._sample(logits, normaliser, draws), chosen)
        if self._tempered:
            logits = logits / self._shown
            normaliser = torch.logsumexp(logits, dim=-1, keepdim=True)
        logprobs = (logits.gather(-1, chosen[:, None]) - normaliser)[:, 0]
        return chosen.tolist(), logprobs.tolist()

    def _sample(self, logits: Tensor, normaliser: Tensor, draws: Sequence[float]) -> Tensor:
        if self._heated:
            probabilities = torch.softmax(logits / self._temperature, dim=-1)
        else:
            probabilities = torch.exp(logits - normaliser)
        if self._filtered:
            probabilities = self._filter(probabilities)
        cumulative = probabilities.cumsum(dim=-1, dtype=torch.float64)
        uniform = torch.tensor(draws, dtype=torch.float64, device=logits.device)[:, None]
        picked = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)[:, 0]
        return picked.clamp_(max=logits.shape[-1] - 1)

    def _filter(self, probabilities: Tensor) -> Tensor:
        """Zero outside the smallest set of likeliest tokens that reaches top_p, and beyond the top_k likeliest."""
        ordered, order = probabilities.sort(dim=-1, descending=True)
        before = ordered.cumsum(dim=-1) - ordered
        rank = torch.arange(ordered.shape[-1], device=ordered.device)
        outside = ((before >= self._top_p) & (self._top_p < 1.0)) | (rank >= self._top_k)
        outside[:, 0] = False
        return torch.zeros_like(probabilities).scatter_(-1, order, ordered.masked_fill(outside, 0.0))


class Batch:
    """Rows decoded together, from prefill until the last one ended. Used once, by one thread, without gradients."""

    def __init__(
        self,
        model: Any,
        rows: Sequence[Row],
        *,
        cache: Any,
        hooks: Hooks,
        end_ids: frozenset[int],
        text: Callable[[Sequence[int]], str],
        done: Callable[[int, Completion], None],
        cancelled: Callable[[int], bool],
    ) -> None:
        self._model, self._cache, self._hooks = model, cache, hooks
        self._end_ids, self._text, self._done, self._cancelled = end_ids, text, done, cancelled
        self._lives = [Live(i, row, random.Random(row.seed)) for i, row in enumerate(rows)]
        self._device: torch.device = model.device
        self._mask = torch.empty(0)
        self._next_position = torch.empty(0)
        self._filled = 0

    def run(self) -> None:
        """Samples until every row ended or was cancelled. Raises what the model raises."""
        with torch.inference_mode():
            logits = self._prefill()
            while any(not live.over for live in self._lives):
                with self._hooks([live.row.adapter for live in self._lives]):
                    logits = self._decode_until_smaller(logits)
                if any(not live.over for live in self._lives):
                    logits = self._cut(logits)

    def _prefill(self) -> Tensor:
        """Reads the prompts, each distinct one once; returns the logits of every row's first token."""
        distinct: dict[tuple[str | None, tuple[int, ...]], int] = {}
        source = [distinct.setdefault((w.row.adapter, w.row.prompt_ids), len(distinct)) for w in self._lives]
        prompts = list(distinct)
        longest = max(len(ids) for _, ids in prompts)
        tokens = torch.zeros(len(prompts), longest, dtype=torch.long)
        mask = torch.zeros(len(prompts), longest + max(w.row.max_tokens for w in self._lives), dtype=torch.long)
        mask[:, longest:] = 1
        for i, (_, ids) in enumerate(prompts):
            tokens[i, longest - len(ids) :] = torch.tensor(ids)
            mask[i, longest - len(ids) : longest] = 1
        self._mask, self._filled = mask.to(self._device), longest
        seen = self._mask[:, :longest]
        with self._hooks([adapter for adapter, _ in prompts]):
            logits = self._forward(tokens.to(self._device), (seen.cumsum(-1) - 1).clamp_(min=0))
        self._next_position = seen.sum(-1, keepdim=True)
        return self._select(torch.tensor(source), logits) if len(prompts) < len(source) else logits

    def _forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        output = self._model(
            input_ids=tokens,
            attention_mask=self._mask[:, : self._filled],
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def _decode_until_smaller(self, logits: Tensor) -> Tensor:
        """Steps until enough rows ended to be worth cutting; returns the logits of the step to come."""
        sampler = Sampler([live.row for live in self._lives], self._device)
        enough = KEEP_SHARE * len(self._lives)
        while True:
            tokens, logprobs = sampler.choose(logits, [live.draws.random() for live in self._lives])
            self._take(tokens, logprobs)
            alive = sum(not live.over for live in self._lives)
            if alive == 0:
                return logits
            self._filled += 1
            logits = self._forward(torch.tensor(tokens, device=self._device)[:, None], self._next_position)
            self._next_position = self._next_position + 1
            if alive <= enough:
                return logits

    def _take(self, tokens: Sequence[int], logprobs: Sequence[float]) -> None:
        for live, token, logprob in zip(self._lives, tokens, logprobs, strict=True):
            if live.over:
                continue
            if self._cancelled(live.index):
                live.over = True
                continue
            live.ids.append(token)
            live.logprobs.append(logprob)
            completion = self._ended(live)
            if completion is not None:
                live.over = True
                self._done(live.index, completion)

    def _ended(self, live: Live) -> Completion | None:
        text = self._stopped(live) if live.row.stop else None
        stopped = text is not None or (live.ids[-1] in self._end_ids and not live.row.ignore_eos)
        if not stopped and len(live.ids) < live.row.max_tokens:
            return None
        reason: FinishReason = "stop" if stopped else "length"
        return Completion(tuple(live.ids), tuple(live.logprobs), self._text(live.ids) if text is None else text, reason)

    def _stopped(self, live: Live) -> str | None:
        """The text before the first stop string, if one is complete. Looks at the tail only, as each step does."""
        tail = self._text(live.ids[-(max(map(len, live.row.stop)) + 8) :])
        if not any(stop in tail for stop in live.row.stop):
            return None
        text = self._text(live.ids)
        found = [at for stop in live.row.stop if (at := text.find(stop)) >= 0]
        return text[: min(found)] if found else None

    def _cut(self, logits: Tensor) -> Tensor:
        keep = torch.tensor([i for i, live in enumerate(self._lives) if not live.over])
        self._lives = [live for live in self._lives if not live.over]
        return self._select(keep, logits)

    def _select(self, rows: Tensor, logits: Tensor) -> Tensor:
        """Makes the batch consist of these rows of the present one, repeated or left out; returns their logits."""
        rows = rows.to(self._device)
        self._cache.batch_select_indices(rows)
        self._mask, self._next_position = self._mask[rows], self._next_position[rows]
        return logits[rows]
