"""Reading every trajectory of a generation and saying what went wrong in each, in a handful of classes."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sia_tui.agents.protocol import Reading
from sia_tui.core.proposals import RIGHT
from sia_tui.core.pulls import in_sight

CLASSES = {
    "timeout": "ran out of time",
    "crash": "the harness raised an error",
    "no_answer": "the policy gave no answer",
    "unparsed": "an answer was there, but extraction did not find it",
    "not_a_label": "the answer is no label of the task",
    "tool_unused": "failed without ever calling the search tool",
    "not_in_sight": "wrong, and the right charge was not among those shown",
    "confused": "wrong, with the right charge in sight: close charges confused",
    "wrong": "wrong (the expected answer is withheld on dev)",
}
_NOTHING_SAID = ("无法", "不清楚", "不知道", "不能确定")


@dataclass(frozen=True)
class Diagnosis:
    """What the trajectories of one generation show, train and dev together where dev may tell."""

    counts: Mapping[str, int]
    """Trajectories by class, `right` included."""
    examples: Mapping[str, tuple[str, ...]]
    """Episode ids by class."""
    ranks: Sequence[int | None]
    """Train only: where the right charge stood in the list shown (from 0), None if it was not there."""
    picks: Sequence[int]
    """Where the answer stood in the list shown (from 0), of every trajectory that answered with one of the list."""
    shown: int
    """How many charges were shown, at the most; 0 when none were."""
    without_search: int = 0
    """Trajectories that never called the search tool, whatever their class."""
    confusions: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Train only: how often the first charge was right and the second answered, commonest first."""

    @property
    def n(self) -> int:
        return sum(self.counts.values())

    def share(self, *classes: str) -> float:
        return sum(self.counts.get(name, 0) for name in classes) / max(1, self.n)

    @property
    def accuracy(self) -> float:
        return self.share(RIGHT)

    @property
    def read_accuracy(self) -> float:
        """Share of right answers among those that extraction found."""
        read = self.n - sum(self.counts.get(name, 0) for name in ("no_answer", "unparsed", "timeout", "crash"))
        return self.counts.get(RIGHT, 0) / max(1, read)

    @property
    def out_of_reach(self) -> float:
        """Share of the failures that no scaffold mends."""
        return in_sight(self.counts)

    def in_sight(self, size: int) -> float:
        """Train: how often the right charge is among the first `size` shown."""
        return sum(rank is not None and rank < size for rank in self.ranks) / max(1, len(self.ranks))

    def right_at(self, place: int) -> float:
        """Train: how often the right charge stands in this place of the list."""
        return self.ranks.count(place) / max(1, len(self.ranks))

    def habit(self) -> list[float]:
        """How often the policy picks each place of the list, whatever stands there."""
        return [self.picks.count(place) / max(1, len(self.picks)) for place in range(self.shown)]

    def expect(self, habit: Sequence[float]) -> float:
        """Accuracy to expect of other habits of picking: how often each place is right, scaled by the skill shown so far,
        which is the accuracy over what blind picking with the present habit would reach."""
        blind = sum(self.right_at(place) * share for place, share in enumerate(self.habit()))
        skill = self.accuracy / blind if blind else 0.0
        return skill * sum(self.right_at(place) * share for place, share in enumerate(habit))


def diagnose(readings: Iterable[Reading]) -> Diagnosis:
    examples: dict[str, list[str]] = defaultdict(list)
    ranks: list[int | None] = []
    picks: list[int] = []
    confusions: dict[tuple[str, str], int] = defaultdict(int)
    shown = without_search = 0
    for reading in readings:
        kind, charges = classify(reading), charges_shown(reading)
        examples[kind].append(reading.episode)
        shown = max(shown, len(charges))
        without_search += not charges
        if reading.expected is not None and charges:
            ranks.append(charges.index(reading.expected) if reading.expected in charges else None)
        if reading.attempt.answer in charges:
            picks.append(charges.index(reading.attempt.answer))
        if kind == "confused" and reading.expected and reading.attempt.answer:
            confusions[reading.expected, reading.attempt.answer] += 1
    counts = {kind: len(found) for kind, found in examples.items()}
    worst = dict(sorted(confusions.items(), key=lambda item: (-item[1], item[0])))
    return Diagnosis(
        counts, {kind: tuple(found) for kind, found in examples.items()}, ranks, picks, shown, without_search, worst
    )


def classify(reading: Reading) -> str:
    """`right`, or one of CLASSES."""
    attempt, failure = reading.attempt, reading.score.failure
    if failure is None:
        return RIGHT
    if attempt.error is not None:
        return "timeout" if attempt.error.kind == "timeout" else "crash"
    if failure == "no_answer":
        said = attempt.calls[-1].text.strip() if attempt.calls else ""
        return "no_answer" if not said or any(words in said for words in _NOTHING_SAID) else "unparsed"
    if failure != "wrong":
        return "not_a_label"
    charges = charges_shown(reading)
    if not charges:
        return "tool_unused"
    if reading.expected is None:
        return "wrong"
    return "confused" if reading.expected in charges else "not_in_sight"


def charges_shown(reading: Reading) -> list[str]:
    """What the harness' search returned last, as its trajectory has it; empty when it never searched."""
    for call in reversed(reading.attempt.tool_calls):
        try:
            found = ast.literal_eval(call.result)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list) and all(isinstance(name, str) for name in found):
            return found
    return []
