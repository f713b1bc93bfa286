"""What a pilot's rewards look like: how often cases pass, whether groups differ, how the wins are spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sia_tui.core.plans import Pilot

Groups = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Rewards:
    """Statistics of a pilot's rewards, cases × samples. None depends on the order of cases or samples."""

    cases: int
    samples: int
    histogram: tuple[int, ...]
    """Cases solved in k of the samples, at place k."""
    pass_1: float
    pass_n: float
    useful: float | None
    """Share of the groups whose rewards differ; None with one sample a case, which is no group."""
    values: int
    """Different rewards paid."""
    partial: float
    """Share of the rewards that are neither 0 nor 1."""
    skew: float
    """Third standardised moment; 0 where all rewards are equal."""
    excess: float
    """Fourth standardised moment less that of a normal distribution, 3."""
    tail: float
    """Mean of the best-paid tenth over the mean of all, both above the least reward; 1 where all are equal."""
    ranked: bool
    """Every group is paid the same ladder of three values or more: places, which say nothing of how good any is."""
    settled: float
    """Share of the cases solved more often than not: what a bad update could lose."""

    @property
    def expected(self) -> float:
        """Successes to expect in a group."""
        return self.samples * self.pass_1


def rewards(pilot: Pilot) -> Rewards:
    """Raises ValueError for a pilot without cases, or for a reward that is not finite."""
    groups = pilot.rewards or _by_solved(pilot)
    paid = sorted(reward for group in groups for reward in group)
    if not paid or not all(map(math.isfinite, paid)):
        raise ValueError("a pilot's rewards must be finite numbers, and there must be some")
    skew, excess = _moments(paid)
    return Rewards(
        cases=pilot.n,
        samples=pilot.samples,
        histogram=pilot.solved,
        pass_1=pilot.pass_1,
        pass_n=pilot.pass_n,
        useful=pilot.useful if pilot.samples > 1 else None,
        values=len(set(paid)),
        partial=sum(reward not in (0.0, 1.0) for reward in paid) / len(paid),
        skew=skew,
        excess=excess,
        tail=_tail(paid),
        ranked=_ladder(groups),
        settled=sum(pilot.solved[pilot.samples // 2 + 1 :]) / pilot.n,
    )


def pass_at(pilot: Pilot, k: int) -> float:
    """Chance that any of `k` rollouts solves its case, estimated without bias from n >= k: the mean over cases, c of whose
    n samples are right, of 1 - C(n - c, k) / C(n, k).

    Chen et al. 2021 (arXiv 2107.03374), equation 1. Raises ValueError for a k outside [1, n].
    """
    n = pilot.samples
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} cannot be told from {n} samples")
    missed = sum(count * math.comb(n - c, k) for c, count in enumerate(pilot.solved))
    return 1 - missed / (pilot.n * math.comb(n, k))


def _by_solved(pilot: Pilot) -> Groups:
    """Pilots of earlier versions kept only how often cases were solved; their verifier paid 1 for that and else 0."""
    n = pilot.samples
    return tuple((1.0,) * k + (0.0,) * (n - k) for k, count in enumerate(pilot.solved) for _ in range(count))


SAME = 1e-9
"""Rewards no further apart are one: sums of floats differ by less."""


def _moments(paid: Sequence[float]) -> tuple[float, float]:
    """Skewness and excess kurtosis, of rewards in rising order."""
    mean = math.fsum(paid) / len(paid)
    second, third, fourth = (math.fsum((reward - mean) ** power for reward in paid) / len(paid) for power in (2, 3, 4))
    if paid[-1] - paid[0] < SAME or second == 0:
        return 0.0, 0.0
    return third / second**1.5, fourth / second**2 - 3


def _tail(paid: Sequence[float]) -> float:
    """Of rewards in rising order."""
    top = paid[-math.ceil(len(paid) / 10) :]
    mean = math.fsum(paid) / len(paid) - paid[0]
    return (math.fsum(top) / len(top) - paid[0]) / mean if mean > SAME else 1.0


def _ladder(groups: Groups) -> bool:
    ladders = {tuple(sorted(group)) for group in groups}
    return len(groups) > 1 and len(ladders) == 1 and len(set(groups[0])) > 2
