"""Means and paired gains with their 95 % intervals. Plain Python: a reading verb may import it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


def t_quantile_975(freedom: int) -> float:
    """97.5 % point of Student's t (Abramowitz & Stegun 26.7.5); below 3 degrees of freedom, exact values."""
    if freedom < 1:
        raise ValueError("a t interval needs at least two values")
    exact = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764}
    if freedom in exact:
        return exact[freedom]
    z, v = Z95, freedom
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def _is_binary(rewards: Sequence[float]) -> bool:
    return all(reward in (0.0, 1.0) for reward in rewards)


def _wilson(successes: float, n: int) -> tuple[float, float]:
    """Wilson (1927) score interval of a proportion."""
    p = successes / n
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2)) / (1 + Z95**2 / n)
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def _t_interval(values: Sequence[float]) -> tuple[float, float]:
    n, mean = len(values), math.fsum(values) / len(values)
    if n < 2:
        return -math.inf, math.inf
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    half = t_quantile_975(n - 1) * math.sqrt(variance / n)
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


def _paired_binary(fixed: int, broke: int, n: int) -> tuple[float, float]:
    """Bonett & Price (2012) adjusted Wald interval for a difference of paired proportions; never degenerate."""
    p_fixed, p_broke = (fixed + 1) / (n + 2), (broke + 1) / (n + 2)
    centre = p_fixed - p_broke
    half = Z95 * math.sqrt((p_fixed + p_broke - centre**2) / (n + 2))
    return max(-1.0, centre - half), min(1.0, centre + half)


def paired_gain(incumbent: Mapping[str, float], candidate: Mapping[str, float]) -> Gain:
    """Gain of `candidate` over `incumbent`, both {case id: reward} over the very same cases.

    Raises ValueError when the cases differ: a gain over different cases is not paired.
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
    if _is_binary(list(incumbent.values())) and _is_binary(list(candidate.values())):
        lo, hi = _paired_binary(len(fixed), len(broke), n)
    else:
        lo, hi = _t_interval(differences)
    return Gain(mean, min(lo, mean), max(hi, mean), n, fixed, broke)


def resolvable_gain(n: int, discordant: float = 0.2) -> float:
    """The smallest true gain that n paired cases call better half the time, if a share `discordant` of them changes."""
    return Z95 * math.sqrt(discordant / n)
