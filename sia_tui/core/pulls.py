"""What pulling a lever has paid: a step of a run as a row to learn from, and what the advisor makes of such rows.

A row holds a handful of numbers of train and dev, never a case, and nothing of hidden or test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sia_tui.core.proposals import RIGHT, Lever
from sia_tui.core.text import one_line

Pulled = Literal["harness", "weights"]
LEVERS: tuple[Pulled, ...] = ("harness", "weights")
FEATURES = ("one", "headroom", "in sight", "by format", "adapter", "stalls", "last gain", "handed over")
"""Names of what a lever's pay is told by, in order; `features` says what each is."""
MOST_STALLS = 3
"""More in a row than this tell no more."""
_FORMAT = ("timeout", "crash", "no_answer", "unparsed", "not_a_label")


@dataclass(frozen=True)
class Seen:
    """What is known of a generation when a step on it is to be chosen."""

    dev: float
    """Mean reward."""
    counts: Mapping[str, int]
    """Trajectories of train and dev by class of failure, `RIGHT` included."""
    adapter: bool


@dataclass(frozen=True)
class Turn:
    """A step that was carried out before: of which lever, and the gain that was kept of it, None where none was."""

    lever: Lever
    kept: float | None


@dataclass(frozen=True)
class Pull:
    """A step that is over: what was known before it, and what it paid."""

    id: str
    """Of its proposal."""
    run: str
    at: str
    lever: Pulled
    features: Mapping[str, float]
    gain: float
    """On dev, as far as it was kept: 0 for a step that was refused or rolled back."""
    kept: bool
    minutes: float
    """Working time of the engine from the proposal to the decision."""

    @property
    def pay(self) -> float:
        """Gain a minute."""
        return self.gain / self.minutes


@dataclass(frozen=True)
class Pay:
    """What a lever is expected to pay a minute now, in reward units on dev, with its 95 % credible interval."""

    lever: Pulled
    mean: float
    lo: float
    hi: float
    steps: int
    """Rows that this rests on."""
    minutes: float | None
    """What a step of it usually takes; None before there was one."""
    features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Advice:
    """Which lever to pull next, and what each is expected to pay."""

    lever: Pulled
    why: str
    pays: tuple[Pay, ...]
    steps: int
    runs: int

    @property
    def order(self) -> tuple[Pulled, ...]:
        """The advised lever, then the others."""
        return (self.lever, *(pay.lever for pay in self.pays if pay.lever != self.lever))

    def features_of(self, lever: Lever) -> Mapping[str, float]:
        """What was known for that lever; nothing where it could not be pulled."""
        return next((pay.features for pay in self.pays if pay.lever == lever), {})


def features(lever: Pulled, seen: Seen, turns: Sequence[Turn]) -> dict[str, float]:
    """FEATURES of a lever, each between -1 and 1:

    headroom: dev's distance from 1. in sight, by format: shares of the failures. adapter: whether the policy has one.
    stalls: steps of this lever since one was kept, of MOST_STALLS. last gain: what was kept of its last step.
    handed over: whether a step of another lever was kept since this one was pulled last.
    """
    mine = [turn for turn in turns if turn.lever == lever]
    since = turns[max((at + 1 for at, turn in enumerate(turns) if turn.lever == lever), default=0) :]
    failures = max(1, sum(seen.counts.values()) - seen.counts.get(RIGHT, 0))
    values = (
        1.0,
        1.0 - seen.dev,
        in_sight(seen.counts),
        sum(seen.counts.get(name, 0) for name in _FORMAT) / failures,
        float(seen.adapter),
        min(MOST_STALLS, stalls(mine)) / MOST_STALLS,
        (mine[-1].kept or 0.0) if mine else 0.0,
        float(any(turn.kept is not None for turn in since)),
    )
    return dict(zip(FEATURES, values, strict=True))


def stalls(turns: Iterable[Turn]) -> int:
    """How many since the last that was kept."""
    count = 0
    for turn in turns:
        count = count + 1 if turn.kept is None else 0
    return count


def in_sight(counts: Mapping[str, int]) -> float:
    """Share of the failures that no scaffold mends: the right answer was there to be picked, and another one was.

    Of dev only the class `wrong` is known; train tells how it divides.
    """
    confused, hidden = counts.get("confused", 0), counts.get("not_in_sight", 0)
    choice = confused / max(1, confused + hidden)
    failures = max(1, sum(counts.values()) - counts.get(RIGHT, 0))
    return (confused + choice * counts.get("wrong", 0)) / failures


def said(advice: Advice) -> str:
    """In one line."""
    if not advice.steps:
        return f"nothing was measured yet; {one_line(advice.why, 200)}: {advice.lever}"
    paid = [
        f"{pay.lever} {'pays ' if not at else ''}{100 * pay.mean:.1f} [{100 * pay.lo:.1f}, {100 * pay.hi:.1f}]"
        f"{' points a minute' if not at else ''}"
        for at, pay in enumerate(sorted(advice.pays, key=lambda pay: -pay.mean))
    ]
    rests = f"over {advice.steps} step{'s' * (advice.steps != 1)} of {advice.runs} run{'s' * (advice.runs != 1)}"
    return f"{', '.join(paid)} {rests}; {one_line(advice.why, 200)}: {advice.lever}"


def paid(pulls: Iterable[Pull], lever: Pulled) -> str:
    """What a lever that was pulled has paid so far, in words."""
    mine = [pull for pull in pulls if pull.lever == lever]
    minutes = sum(pull.minutes for pull in mine)
    runs, kept = len({pull.run for pull in mine}), sum(pull.kept for pull in mine)
    a_minute = 100 * sum(pull.gain for pull in mine) / minutes
    return (
        f"{len(mine)} step{'s' * (len(mine) != 1)} of {runs} run{'s' * (runs != 1)}, {kept} kept, "
        f"{minutes:.1f} min, {a_minute:.1f} points a minute"
    )
