"""Means and paired gains with their 95 % intervals. Plain Python: a reading verb may import it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

Z95 = 1.959963984540054
"""97.5 % point of the standard normal distribution."""

Outcome = Literal["better", "worse", "indecisive"]


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval over `n` cases."""

    mean: float
    lo: float
    hi: float
    n: int


@dataclass(frozen=True)
class Gain:
    """Candidate minus incumbent over the same cases, with the cases that changed sides."""

    mean: float
    lo: float
    hi: float
    n: int
    fixed: tuple[str, ...]
    broke: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        if self.lo > 0:
            return "better"
        return "worse" if self.hi < 0 else "indecisive"


@lru_cache(maxsize=64)
def t_quantile(freedom: int, level: float = 0.95) -> float:
    """The t that a Student variable stays within, on both sides, with probability `level`. Raises ValueError below 1 degree
    of freedom."""
    if freedom < 1:
        raise ValueError("a t interval needs at least two values")
    lo, hi = 0.0, 1.0
    while _t_within(hi, freedom) < level:
        lo, hi = hi, 2 * hi
    for _ in range(60):
        middle = (lo + hi) / 2
        lo, hi = (middle, hi) if _t_within(middle, freedom) < level else (lo, middle)
    return hi


def _t_within(t: float, freedom: int) -> float:
    """P(|T| < t) for whole degrees of freedom (Abramowitz & Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for n in range(2 + odd, freedom - 1, 2):
        term *= (n - 1) / n * cosine**2
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def _z(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)


def _is_binary(rewards: Sequence[float]) -> bool:
    return all(reward in (0.0, 1.0) for reward in rewards)


def _wilson(successes: float, n: int) -> tuple[float, float]:
    """Wilson (1927) score interval of a proportion."""
    p = successes / n
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2)) / (1 + Z95**2 / n)
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def _t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    n, mean = len(values), math.fsum(values) / len(values)
    if n < 2:
        return -math.inf, math.inf
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    half = t_quantile(n - 1, level) * math.sqrt(variance / n)
    return mean - half, mean + half


def estimate(rewards: Sequence[float]) -> Estimate:
    """Mean reward (each in [0, 1]): Wilson's interval for 0/1 rewards, Student's t cut to [0, 1] otherwise.

    Raises ValueError for no rewards or one outside [0, 1] (NaN included).
    """
    if not rewards:
        raise ValueError("no rewards to estimate from")
    if not all(0.0 <= reward <= 1.0 for reward in rewards):
        raise ValueError("rewards must lie in [0, 1]")
    n, mean = len(rewards), math.fsum(rewards) / len(rewards)
    if _is_binary(rewards):
        lo, hi = _wilson(math.fsum(rewards), n)
    else:
        lo, hi = (max(0.0, bound) if bound < mean else min(1.0, bound) for bound in _t_interval(rewards))
    return Estimate(mean, lo, hi, n)


def _paired_binary(fixed: int, broke: int, n: int, level: float) -> tuple[float, float]:
    """Bonett & Price (2012) adjusted Wald interval for a difference of paired proportions; never degenerate."""
    p_fixed, p_broke = (fixed + 1) / (n + 2), (broke + 1) / (n + 2)
    centre = p_fixed - p_broke
    half = _z(level) * math.sqrt((p_fixed + p_broke - centre**2) / (n + 2))
    return max(-1.0, centre - half), min(1.0, centre + half)


def paired_gain(incumbent: Mapping[str, float], candidate: Mapping[str, float], looks: int = 1) -> Gain:
    """Gain of `candidate` over `incumbent`, both {case id: reward} over the very same cases.

    Of `looks` candidates that are compared at once, each interval is wide enough that all of them hold together with 95 %
    (Bonferroni). Raises ValueError when the cases differ: a gain over different cases is not paired.
    """
    if incumbent.keys() != candidate.keys():
        raise ValueError("a paired gain needs the same cases on both sides")
    if not incumbent:
        raise ValueError("no cases to compare")
    ids = sorted(incumbent)
    differences = [candidate[case] - incumbent[case] for case in ids]
    fixed = tuple(case for case, diff in zip(ids, differences, strict=True) if diff > 0)
    broke = tuple(case for case, diff in zip(ids, differences, strict=True) if diff < 0)
    n, mean = len(ids), math.fsum(differences) / len(ids)
    level = 1 - 0.05 / looks
    if _is_binary(list(incumbent.values())) and _is_binary(list(candidate.values())):
        lo, hi = _paired_binary(len(fixed), len(broke), n, level)
    else:
        lo, hi = _t_interval(differences, level)
    return Gain(mean, min(lo, mean), max(hi, mean), n, fixed, broke)


def resolvable_gain(n: int, discordant: float = 0.2) -> float:
    """The smallest true gain that n paired cases call better half the time, if a share `discordant` of them changes."""
    return Z95 * math.sqrt(discordant / n)
