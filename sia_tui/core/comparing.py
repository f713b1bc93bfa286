"""A measurement beside an earlier one of the same cases: whether it says the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sia_tui.core.stats import Gain, paired_gain


class Answered(Protocol):
    """An episode, as far as it is compared."""

    @property
    def case_id(self) -> str: ...
    @property
    def answer(self) -> str | None: ...
    @property
    def reward(self) -> float: ...


@dataclass(frozen=True)
class Repeated:
    """What was recorded against what was measured again, over the cases of both."""

    recorded: float
    again: float
    gain: Gain
    """Again minus recorded, paired."""
    same: int
    differing: tuple[str, ...]
    """Cases answered otherwise."""

    @property
    def holds(self) -> bool:
        """The same within what chance explains: the interval of the difference holds 0."""
        return self.gain.outcome == "indecisive"


def repeated(recorded: Sequence[Answered], again: Sequence[Answered]) -> Repeated:
    """Raises ValueError for other cases than were recorded, or none."""
    old, new = ({row.case_id: row for row in rows} for rows in (recorded, again))
    gain = paired_gain(_rewards(old), _rewards(new))
    differing = tuple(case for case in sorted(old) if old[case].answer != new[case].answer)
    return Repeated(_mean(old), _mean(new), gain, len(old) - len(differing), differing)


def _rewards(rows: Mapping[str, Answered]) -> dict[str, float]:
    return {case: row.reward for case, row in rows.items()}


def _mean(rows: Mapping[str, Answered]) -> float:
    return sum(row.reward for row in rows.values()) / len(rows)


def pooled(draws: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each case's mean reward over several draws of it. A case counts once, however often it was drawn.

    Raises ValueError unless every draw is over the same cases.
    """
    if any(draw.keys() != draws[0].keys() for draw in draws):
        raise ValueError("draws are pooled over the same cases only")
    return {case: sum(draw[case] for draw in draws) / len(draws) for case in draws[0]}


@dataclass(frozen=True)
class Draw:
    """A candidate and its incumbent over the same cases, under one sampling seed."""

    seed: int
    old: Mapping[str, float]
    new: Mapping[str, float]

    @property
    def gain(self) -> Gain:
        return paired_gain(self.old, self.new)


@dataclass(frozen=True)
class Evidence:
    """A candidate's gain under every sampling seed it was measured with, and under all of them together."""

    candidate: int
    incumbent: int
    draws: tuple[Draw, ...]
    """The run's own first."""
    looks: int = 1
    """Candidates that are compared at once: the pooled interval holds for all of them."""

    @property
    def pooled(self) -> Gain:
        """Over cases, each with its mean over the draws: more draws take away the chance of sampling, not that of the
        cases."""
        old, new = pooled([draw.old for draw in self.draws]), pooled([draw.new for draw in self.draws])
        return paired_gain(old, new, self.looks)

    @property
    def moved(self) -> int:
        """Cases whose reward, on either side, was not the same under every seed."""
        first = self.draws[0]
        return sum(
            any(draw.old[case] != first.old[case] or draw.new[case] != first.new[case] for draw in self.draws)
            for case in first.old
        )
