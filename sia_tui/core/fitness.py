"""Whether an evaluator is fit to be optimised against: rows with stable names, what was found, what to do about it.

Pure: whoever has asked a verifier hands in what it paid, as plain numbers, and gets rows back. A row that fails stops a run
at its start, unless a person has accepted the risk by the row's name.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from sia_tui.core.proposals import Light
from sia_tui.core.stats import Z95, resolvable_gain

Level = Literal["ok", "amber", "fails"]
"""amber: for a person to know, and no reason to stop."""

ROWS: Final[Mapping[str, str]] = {
    "splits": "every split has cases, and every case a gold answer",
    "duplicates": "nothing is nearly the same on two sides of a split, or in two folds",
    "folds": "every train case has a fold, and rows outside it",
    "labels": "gold answers are labels, and train has all of them",
    "verifier": "it comes up, and judges whatever it is given",
    "gold": "a right answer is paid",
    "wrong": "a wrong answer is paid much less",
    "null": "no answer earns nothing",
    "empty": "an empty answer earns nothing",
    "random": "nonsense earns nothing",
    "nan": "NaN earns nothing",
    "inf": "infinity earns nothing",
    "shape": "an answer of another shape earns nothing",
    "dtype": "an answer of another type earns nothing",
    "overlong": "an answer that is too long earns nothing",
    "repeats": "the same answer earns the same again",
    "headroom": "what knows nothing does not earn all there is already",
    "resolution": "there are cases enough to tell a gain from noise",
    "exploits": "none of the attempts that ship with the task's kind is paid",
    "attempted": "the mean is over all cases, not over those that were answered",
    "repeated": "a case that is answered twice counts once",
    "stale": "results of an earlier answer are not taken for this one's",
    "paired": "there is a score for every case",
}
"""What each row says when it is ok; the last four are about evaluators of other projects."""

LEAST_GOLD: Final = 0.9
FULL, NEARLY = 0.99, 0.9
"""Of what can be earned: where a null leaves no headroom, and little."""
NOISY: Final = 0.1
"""Standard deviation of repeats from which one measurement of a case says nothing."""
FEW, MANY = 5, 100
"""Cases below which nothing but the largest gain is told, and from which the usual ones are."""
CLOSE: Final = "a loop will find this: pay only what is right"


@dataclass(frozen=True)
class Finding:
    row: str
    """A name of ROWS."""
    level: Level
    found: str
    fix: str = ""
    """What to do; empty when all is well."""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """It stops nothing."""
        return self.level != "fails"


@dataclass(frozen=True)
class Risk:
    """A failing row that a person has a reason to go on with."""

    row: str
    reason: str
    by: str
    at: str
    """ISO 8601."""

    @property
    def light(self) -> Light:
        return Light("accepted risk", "amber", f"{self.row} — {self.reason} ({self.by})")


def ok(row: str, found: str = "", **figures: float) -> Finding:
    return Finding(row, "ok", found or ROWS[row], figures=figures)


def amber(row: str, found: str, fix: str, **figures: float) -> Finding:
    return Finding(row, "amber", found, fix, figures)


def fails(row: str, found: str, fix: str, **figures: float) -> Finding:
    return Finding(row, "fails", found, fix, figures)


def refused(findings: Iterable[Finding], risks: Iterable[Risk]) -> tuple[Finding, ...]:
    """The failing rows that nobody has accepted."""
    accepted = {risk.row for risk in risks}
    return tuple(finding for finding in findings if not finding.ok and finding.row not in accepted)


def gold(earned: Sequence[float], least: float = LEAST_GOLD) -> Finding:
    """Of right answers, one a case."""
    mean = statistics.fmean(earned)
    said = f"a right answer earns {mean:.2f} on the mean of {len(earned)} cases"
    if mean >= least:
        return ok("gold", said, mean=mean)
    return fails("gold", said, f"at least {least:.2f} is due: gold that is no answer is to be left out", mean=mean)


def wrong(earned: Sequence[float], right: float) -> Finding:
    """Of wrong answers, beside the mean of right ones."""
    mean = statistics.fmean(earned)
    said = f"a wrong answer earns {mean:.2f}"
    if mean < right / 2:
        return ok("wrong", said, mean=mean)
    return fails("wrong", said, "it earns as much as a right one: the reward does not look at the case", mean=mean)


def tried(row: str, count: int, paid: Mapping[str, str], odd: Mapping[str, str] | None = None) -> Finding:
    """Of `count` attempts to be paid for nothing: what was paid (fails) and what went otherwise than it should (amber), by
    name, each with what happened."""
    figures = {"tried": float(count), "paid": float(len(paid))}
    if paid:
        return Finding(row, "fails", f"{len(paid)} of {count} paid: {_listed(paid)}", CLOSE, figures)
    if odd:
        fix = "nothing was paid, but look at why it ended so"
        return Finding(
            row, "amber", f"{len(odd)} of {count} went otherwise than they should: {_listed(odd)}", fix, figures
        )
    return Finding(row, "ok", f"{count} tried, none paid", figures=figures)


def repeats(earned: Sequence[Sequence[float]]) -> Finding:
    """Of the same answers asked again and again, a row a case; `sigma` is the noise floor of one judgement."""
    count = max(map(len, earned))
    sigma = math.sqrt(statistics.fmean(statistics.variance(each) for each in earned))
    figures = {"sigma": sigma, "k": float(count)}
    said = f"the same answer, judged {count} times, varies by σ = {sigma:.3f}"
    if sigma == 0:
        return Finding("repeats", "ok", f"the same answer earns the same {count} times", figures=figures)
    if sigma < NOISY:
        return Finding(
            "repeats", "amber", said, "noise hides small gains: a seed, or a mean inside the reward", figures
        )
    return Finding("repeats", "fails", said, "one judgement says nothing: fix its seed, or average inside it", figures)


def headroom(earned: Mapping[str, float], most: float = 1.0) -> Finding:
    """Of null answers by name, the mean each earns of what can be earned at `most`."""
    name, mean = max(earned.items(), key=lambda pair: pair[1])
    said, share = f"the best null ({name}) earns {mean:.2f} of {most:.2f}", mean / most
    if share >= FULL:
        return fails("headroom", said, "nothing is left to gain: harder cases, or a finer reward", best=mean)
    if share >= NEARLY:
        return amber("headroom", said, "little is left to gain: harder cases tell more", best=mean)
    return ok("headroom", said, best=mean)


def resolution(n: int, sigma: float = 0.0) -> Finding:
    """The smallest gain that `n` paired cases tell half the time when a fifth of them changes sides, and each is judged
    with a noise of `sigma`."""
    if n <= 1:
        return fails("resolution", f"dev has {n} cases: no gain has an interval", "two cases at least, and better 100")
    gain = math.hypot(resolvable_gain(n), Z95 * sigma * math.sqrt(2 / n))
    said = f"dev has {n} cases, and tells gains of about {100 * gain:.0f} points"
    if n < FEW:
        return amber("resolution", said, f"a step is kept by luck or not at all: {FEW} cases at least", gain=gain, n=n)
    more = "" if n >= MANY else "; more cases tell smaller ones"
    return ok("resolution", said + more, gain=gain, n=n)


def _listed(said: Mapping[str, str], shown: int = 5) -> str:
    more = f" and {len(said) - shown} more" if len(said) > shown else ""
    return ", ".join(f"{name} ({what})" if what else name for name, what in list(said.items())[:shown]) + more
