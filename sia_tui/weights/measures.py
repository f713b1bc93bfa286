"""What a step's loss was computed from, over its sampled tokens: for the curves, not for the gradient."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sia_tui.weights.sequences import Batch


class Measures:
    """Added up part by part; a row counts as often as the rows it stands for. `clip` is inf where nothing is clipped."""

    def __init__(self, clip: float) -> None:
        self._clip = clip
        self._sums = torch.zeros(7, dtype=torch.float64)
        self._least, self._most, self._widest = math.inf, -math.inf, 0.0

    def add(self, inputs: Batch, logps: Tensor, entropies: Tensor) -> None:
        mask = inputs["tool_mask"].bool()
        if not bool(mask.any()):
            return
        change = (logps - inputs["old_per_token_logps"])[mask]
        ratio, sign = change.exp(), inputs["advantages"].sign()[mask]
        low, high = (ratio < 1 - self._clip) & (sign < 0), (ratio > 1 + self._clip) & (sign > 0)
        one = torch.ones_like(ratio)
        columns = torch.stack([one, change.abs(), ratio, low.to(one), high.to(one), entropies[mask], ratio**2])
        weights = inputs["counts"][:, None].expand_as(mask)[mask]
        self._sums += (columns.double() * weights).sum(1).cpu()
        self._least = min(self._least, float(ratio.min()))
        self._most = max(self._most, float(ratio.max()))
        self._widest = max(self._widest, float(change.abs().max()))

    def join(self, other: Measures) -> None:
        """As if what was added to the other one had been added here."""
        self._sums += other._sums
        self._least, self._most = min(self._least, other._least), max(self._most, other._most)
        self._widest = max(self._widest, other._widest)

    def means(self) -> dict[str, float]:
        """By the names TRL has for them; ratios are raw, before any clipping. Empty when nothing was added."""
        tokens = float(self._sums[0])
        if not tokens:
            return {}
        gap, ratio, low, high, entropy, square = (self._sums[1:] / tokens).tolist()
        return {
            "sampling/sampling_logp_difference/mean": gap,
            "sampling/sampling_logp_difference/max": self._widest,
            "sampling/importance_sampling_ratio/min": self._least,
            "sampling/importance_sampling_ratio/mean": ratio,
            "sampling/importance_sampling_ratio/max": self._most,
            "ess": ratio**2 / square,
            "clip_ratio/low_mean": low,
            "clip_ratio/high_mean": high,
            "entropy": entropy,
        }
