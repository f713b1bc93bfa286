"""Plans that are tried on train cases before one is proposed: whole ones while choices are open, then a word at a time.

A choice seen beside random ones says little where most plans earn nothing. A whole plan that did well somewhere is tried as it
is; and once a plan is decided, words that differ are tried one by one, paired with it on the same cases (coordinate
ascent), those that help together as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from sia_tui.agents import plan_rules
from sia_tui.agents.plan_effects import choices, worth
from sia_tui.agents.protocol import Declined, Reading, Record

CASES = 4
"""Train cases that a plan is tried on: plans differ by more than cases do."""
Words = dict[str, str]
Judged = Sequence[tuple[Words, Reading]]


@dataclass(frozen=True)
class Tried:
    """A plan, or a part of one, and its mean reward over the incumbent's on the same cases."""

    words: Words
    gain: float
    among: int


async def best_tried(record: Record, judged: Judged) -> Tried | None:
    """The best of as many as the budget of trials allows; None where nothing may be tried or nothing is known."""
    most = record.brief.trials // CASES
    measured = list(record.trajectories("train"))
    if most < 2 or len(measured) < CASES or not judged:
        return None
    incumbent = {reading.attempt.case.id: reading.score.reward for reading in measured}
    fields, decided = plan_rules.grammar_of(record.files), plan_rules.decided(record.files)
    cases = _cases(measured, len(record.state.steps))
    open_fields = len(decided) < len(fields)
    candidates = list(_whole(judged, fields, decided) if open_fields else _near(judged, fields, decided, record))
    found: list[Tried] = []
    try:
        for words in candidates[: most - 1]:
            found.append(await _try(record, words, cases, incumbent))
        together = candidates[most - 1 : most] if open_fields else _together(found)
        for words in together:
            found.append(await _try(record, words, cases, incumbent))
    except Declined:
        return None
    best = max(found, key=lambda tried: tried.gain, default=None)
    return None if best is None else Tried(best.words, best.gain, len(found))


def _cases(measured: Sequence[Reading], steps: int) -> list[str]:
    """Others at every step, so that no few cases decide everything; of one fold where it has enough, since every fold that a
    harness is tried on is a worker to start."""
    by_fold = sorted((reading.attempt.case.fold or 0, reading.attempt.case.id) for reading in measured)
    folds = sorted({fold for fold, _ in by_fold})
    start = next(place for place, (fold, _) in enumerate(by_fold) if fold == folds[steps % len(folds)])
    return [by_fold[(start + place) % len(by_fold)][1] for place in range(CASES)]


async def _try(record: Record, words: Words, cases: Sequence[str], incumbent: Mapping[str, float]) -> Tried:
    changed = plan_rules.decide(record.files, words)
    if changed is None:
        raise Declined("the harness has no room for decided choices")
    made = await record.try_harness({**record.files, **changed}, cases)
    return Tried(words, fmean(one.score.reward - incumbent[one.attempt.case.id] for one in made), 1)


def _whole(judged: Judged, fields: Mapping[str, Sequence[str]], decided: Words) -> Iterator[Words]:
    """What is best word by word, then the plans that did best for their case, each once; what is decided stays."""
    found = choices(judged, fields, decided, plan_rules.merit)
    if found:
        yield {choice.field: choice.word for choice in found}
    by_case: dict[str, list[float]] = defaultdict(list)
    for _, reading in judged:
        by_case[reading.attempt.case.id].append(reading.score.reward)
    every = fmean(reading.score.reward for _, reading in judged)

    def above(one: tuple[Words, Reading]) -> float:
        rewards = by_case[one[1].attempt.case.id]
        return one[1].score.reward - fmean([every, every, *rewards])

    known: set[tuple[str, ...]] = set()
    for words, reading in sorted(judged, key=above, reverse=True):
        plan = {name: word for name, word in words.items() if name not in decided}
        if reading.score.reward > 0 and (told := tuple(plan.values())) not in known:
            known.add(told)
            yield plan


def _near(judged: Judged, fields: Mapping[str, Sequence[str]], decided: Words, record: Record) -> Iterator[Words]:
    """Every word but one as decided: the most promising by all plans first; those of earlier steps come last."""
    effects = worth(judged, fields, plan_rules.merit)
    near = [(name, word) for name, some in fields.items() for word in some if word != decided[name]]
    near.sort(key=lambda one: effects[one[0], decided[one[0]]] - effects[one])
    seen = len(record.state.steps) * (record.brief.trials // CASES - 1) % len(near)
    for name, word in near[seen:] + near[:seen]:
        yield {name: word}


def _together(found: Sequence[Tried]) -> list[Words]:
    """The best change of each field that has one that helps, all at once; nothing for fewer than two."""
    helps: Words = {}
    for tried in sorted(found, key=lambda tried: tried.gain):
        helps |= tried.words if tried.gain > 0 else {}
    return [helps] if len(helps) > 1 else []
