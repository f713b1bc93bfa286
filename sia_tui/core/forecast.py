"""Predictions against what was measured: how far the next one of the same agent and lever may be believed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sia_tui.core.proposals import Lever
from sia_tui.core.stats import Z95

PRIOR = 0.5
"""What a promise is worth before any was measured. Whoever proposes takes the most promising of several options, and the
largest of noisy guesses is too large: where the guesses' noise is as wide as the true gains, by half (regression to the
mean at a reliability of one half)."""
WEIGHT = 2.0
"""Measured predictions that the prior counts for: a first one moves the expectation by a third at the most."""
MOST = 2.0
"""A gain beyond this multiple of its prediction, either way, counts as this: one surprise shows an agent that does not
know, not one that is five times too modest."""


@dataclass(frozen=True)
class Forecast:
    """One measured step: what was promised of it and what came of it. Gains in reward units, on dev."""

    id: str
    """Of its proposal."""
    run: str
    at: str
    agent: str
    lever: Lever
    title: str
    predicted: float
    gain: float
    lo: float
    hi: float
    range: tuple[float, float] | None = None
    """Where the agent expected the gain."""
    predicted_cost: Mapping[str, float] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    """`calls` and `tokens` a case as factors of the incumbent's, `training_s` in seconds; by the names of
    `predicted_cost`, where both are known."""

    @property
    def sign_right(self) -> bool:
        """Up or down as promised; no change promised is right where dev saw none."""
        return self.lo <= 0 <= self.hi if self.predicted == 0 else self.predicted * self.gain > 0

    @property
    def inside(self) -> bool | None:
        """Whether the gain lies in the promised range; None where none was given."""
        return None if self.range is None else self.range[0] <= self.gain <= self.range[1]

    @property
    def ratio(self) -> float | None:
        """Gain over prediction, within ±MOST; None where nothing was promised."""
        return None if self.predicted == 0 else max(-MOST, min(MOST, self.gain / self.predicted))

    @property
    def reliability(self) -> float:
        """What its ratio counts for, 0 to 1: 1 / (1 + (s / predicted)²) with the gain's standard error s, for ratios
        that differ by 1 between steps as it is. A promise far below what dev can tell from noise says next to nothing."""
        error = (self.hi - self.lo) / (2 * Z95)
        return (self.predicted / math.hypot(self.predicted, error)) ** 2 if self.predicted else 0.0


@dataclass(frozen=True)
class TrackRecord:
    """How the predictions of one agent for one lever on one task have held."""

    agent: str
    lever: Lever
    task: str
    n: int = 0
    """Measured predictions."""
    signs: int = 0
    """Of these, those with the right sign."""
    ranged: int = 0
    """Those that gave a range."""
    inside: int = 0
    """Of these, those whose gain lay in it."""
    factor: float = PRIOR
    """Gain to expect per predicted gain."""
    cost: Mapping[str, float] = field(default_factory=dict)
    """Measured over predicted, the geometric mean, by name of cost."""

    def discounted(self, predicted: float) -> float:
        """The gain to expect of a `predicted` one."""
        return self.factor * predicted

    @property
    def name(self) -> str:
        return f"{self.agent}/{self.lever}"


def track(forecasts: Iterable[Forecast], agent: str, lever: Lever, task: str) -> TrackRecord:
    """The record over those of `forecasts` that this agent made for this lever; their order makes no difference.

    The factor is the mean ratio of gain to prediction, each weighed by its reliability, shrunk towards PRIOR as if that
    had been seen WEIGHT times: the posterior mean of a random-effects model of ratios.
    """
    mine = [made for made in forecasts if (made.agent, made.lever) == (agent, lever)]
    sure = [(made.ratio, made.reliability) for made in mine if made.ratio is not None]
    weight = math.fsum([WEIGHT, *(reliability for _, reliability in sure)])
    ranged = [made.inside for made in mine if made.inside is not None]
    return TrackRecord(
        agent,
        lever,
        task,
        len(mine),
        sum(made.sign_right for made in mine),
        len(ranged),
        sum(ranged),
        math.fsum([WEIGHT * PRIOR, *(ratio * reliability for ratio, reliability in sure)]) / weight,
        _costs(mine),
    )


def tracks(forecasts: Sequence[Forecast], task: str) -> tuple[TrackRecord, ...]:
    """The record of each agent and lever there are forecasts of."""
    pairs = sorted({(made.agent, made.lever) for made in forecasts})
    return tuple(track(forecasts, agent, lever, task) for agent, lever in pairs)


def _costs(forecasts: Sequence[Forecast]) -> dict[str, float]:
    ratios: dict[str, list[float]] = {}
    for made in forecasts:
        for name, predicted in made.predicted_cost.items():
            if predicted > 0 and made.cost.get(name, 0.0) > 0:
                ratios.setdefault(name, []).append(math.log(made.cost[name] / predicted))
    return {name: math.exp(math.fsum(logs) / len(logs)) for name, logs in sorted(ratios.items())}
