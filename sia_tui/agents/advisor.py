"""The advisor: a small contextual bandit that learns from measured steps which lever pays per minute.

Per lever a Bayesian linear regression of the gain kept per minute on a few features of the evidence, and Thompson
sampling between them (Agrawal & Goyal 2013, arXiv 1209.3352). The prior's mean is the house rule, so that an advisor to
whom nothing was measured says what the house would do: the harness until it stalls, then the weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sia_tui.agents.diagnosis import diagnose
from sia_tui.agents.playbook import PlaybookFeedbackAgent
from sia_tui.agents.protocol import Record
from sia_tui.core.hashing import digest
from sia_tui.core.proposals import Proposal
from sia_tui.core.pulls import FEATURES, LEVERS, MOST_STALLS, Advice, Pay, Pull, Pulled, Seen, Turn, features, said
from sia_tui.core.recall import turns
from sia_tui.core.stats import t_quantile

LEAD = 0.25
"""What the house expects the harness to pay more than the weights, in units of what a step paid so far (root mean square)."""
STALL = 0.5
"""What it expects a lever to pay less for each step that was not kept, in the same units. More than LEAD: one stall more
than the other lever hands over to that one."""
WIDTH = 1.0
"""Standard deviation of each weight before anything was measured, in units of the noise: a handful of steps outweighs it."""
SHAPE, RATE = 2, 1.0
"""Of the inverse gamma prior of the noise's variance: about that of the pay itself, as if four steps had shown it."""
HOUSE = "the harness until it stalls, then the weights"

Vector = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Posterior:
    """Normal-inverse-gamma over the weights and the noise of one lever's pay (Bishop 2006, exercise 3.12)."""

    mean: Vector
    cov: NDArray[np.floating[Any]]
    """Of the weights, in units of the noise's variance."""
    shape: float
    rate: float

    def expect(self, x: Vector) -> tuple[float, float]:
        """The pay expected at `x` and half of its 95 % credible interval (Student's t, 2 × shape degrees of freedom)."""
        spread = math.sqrt(self.rate / self.shape * float(x @ self.cov @ x))
        return float(x @ self.mean), t_quantile(round(2 * self.shape)) * spread

    def draw(self, x: Vector, random: np.random.Generator) -> float:
        """One plausible pay at `x`."""
        noise = self.rate / random.gamma(self.shape)
        return float(random.normal(x @ self.mean, math.sqrt(noise * float(x @ self.cov @ x))))


def prior(lever: Pulled) -> Posterior:
    """The house rule: less for every stall, and the harness first where both have as many."""
    mean = np.zeros(len(FEATURES))
    mean[FEATURES.index("one")] = LEAD if lever == "harness" else 0.0
    mean[FEATURES.index("stalls")] = -STALL * MOST_STALLS
    return Posterior(mean, np.diag(np.full_like(mean, WIDTH**2)), SHAPE, RATE)


def learn(before: Posterior, xs: NDArray[np.floating[Any]], ys: Vector) -> Posterior:
    """The conjugate update by rows `xs` (n × features) with pays `ys` (n)."""
    precision = np.linalg.inv(before.cov)
    cov = np.linalg.inv(precision + xs.T @ xs)
    mean = cov @ (precision @ before.mean + xs.T @ ys)
    fit = ys @ ys + before.mean @ precision @ before.mean - mean @ (precision + xs.T @ xs) @ mean
    return Posterior(mean, cov, before.shape + len(ys) / 2, before.rate + max(0.0, float(fit)) / 2)


def weigh(
    pulls: Sequence[Pull],
    seen: Seen,
    so_far: Sequence[Turn],
    levers: Sequence[Pulled] = LEVERS,
    left_min: float = math.inf,
    seed: str = "",
) -> Advice:
    """Which of `levers` to pull on what is `seen`. The same arguments give the same advice.

    Where nothing was measured yet there is nothing to draw by, and the prior decides. A lever whose usual step would
    outlast the minutes that are left waits behind one whose would not.
    """
    unit = math.sqrt(sum(pull.pay**2 for pull in pulls) / len(pulls)) if pulls else 0.0
    unit = unit or 1.0
    random = np.random.default_rng(int(digest(["advisor", seed])[:16], 16))
    pays, drawn = [], {}
    for lever in LEVERS:
        luck = random.spawn(1)[0]
        if lever not in levers:
            continue
        mine, now = [pull for pull in pulls if pull.lever == lever], features(lever, seen, so_far)
        known = learn(prior(lever), *_rows(mine, unit)) if mine else prior(lever)
        x = _vector(now)
        mean, half = known.expect(x)
        drawn[lever] = known.draw(x, luck) if pulls else mean
        usual = float(np.median([pull.minutes for pull in mine])) if mine else None
        pays.append(Pay(lever, unit * mean, unit * (mean - half), unit * (mean + half), len(mine), usual, now))
    return _advice(pays, drawn, len(pulls), len({pull.run for pull in pulls}), left_min)


def _rows(pulls: Sequence[Pull], unit: float) -> tuple[NDArray[np.floating[Any]], Vector]:
    return np.array([_vector(pull.features) for pull in pulls]), np.array([pull.pay / unit for pull in pulls])


def _vector(values: Mapping[str, float]) -> Vector:
    return np.array([values.get(name, 0.0) for name in FEATURES])


def _advice(pays: list[Pay], drawn: Mapping[Pulled, float], steps: int, runs: int, left_min: float) -> Advice:
    fits = [pay.lever for pay in pays if pay.minutes is None or pay.minutes <= left_min] or [pay.lever for pay in pays]
    lever = max(fits, key=lambda lever: drawn[lever])
    if len(fits) < len(pays):
        why = f"{left_min:.0f} min are left for it"
    elif not steps:
        why = HOUSE
    else:
        likely = max(pays, key=lambda pay: pay.mean).lever
        why = "the likelier" if lever == likely else "drawn to learn more of it"
    return Advice(lever, why, tuple(pays), steps, runs)


def advise(record: Record) -> Advice | None:
    """What the evidence of the incumbent says, by all that the record remembers; None where there is no lever to pull."""
    state, best = record.state, record.state.best
    assert best is not None
    if not record.brief.levers:
        return None
    readings = itertools.chain(record.trajectories("train"), record.trajectories("dev"))
    seen = Seen(best.results["dev"].mean, diagnose(readings).counts, best.adapter is not None)
    levers = [lever for lever in LEVERS if lever in record.brief.levers]
    seed = f"{state.run}/{len(state.steps) + 1}"
    return weigh(record.memory.pulls, seen, turns(state), levers, record.brief.left_min, seed)


class AdvisorFeedbackAgent:
    """The advisor picks the lever, the playbook says what to do with it; where it has nothing for one, the next."""

    async def propose(self, record: Record) -> Proposal:
        advice = advise(record)
        if advice is None:
            return await PlaybookFeedbackAgent().propose(record)
        return await PlaybookFeedbackAgent(advice.order, f"The advisor: {said(advice)}.").propose(record)
