"""Offline algorithms: the rollouts they learn from, which of them, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from sia_tui.weights.groups import in_groups, summary
from sia_tui.weights.pipe import Pipe
from sia_tui.weights.protocol import Job, Rollout
from sia_tui.weights.stopping import TrainingFailed

CHUNK = 64
"""Cases of one question to the engine, so that a long gathering shows progress."""


def gather(job: Job, pipe: Pipe) -> list[Sequence[Rollout]]:
    """Every case's rollouts under the starting point; fewer cases once somebody wants the training to end."""
    groups: list[Sequence[Rollout]] = []
    for start in range(0, len(job.cases), CHUNK):
        cases = job.cases[start : start + CHUNK]
        asked = pipe.ask("train", cases, samples=job.plan.samples, adapter=None, step=0)
        groups += in_groups(pipe.answer(asked), job.plan.samples)
        if pipe.stop:
            break
    return groups


def select(groups: Sequence[Sequence[Rollout]], seed: int) -> list[Rollout]:
    """The successes to clone: one a case where all are paid alike, the elite of all where pay is graded.

    Raises TrainingFailed when there is none at all.
    """
    draw = Random(seed)
    solved = [
        [one for one in group if one.solved and any(call.completion_ids for call in one.calls)] for group in groups
    ]
    graded = len({rollout.reward for some in solved for rollout in some}) > 1
    lessons = _elite(groups, solved, draw) if graded else [_shortest(some, draw) for some in solved if some]
    if not lessons:
        raise TrainingFailed("no rollout solved its case: there is nothing to clone")
    return lessons


def _shortest(solved: Sequence[Rollout], draw: Random) -> Rollout:
    """The one that asked least, ties drawn: what an episode asked in vain before it succeeded is not worth cloning."""
    fewest = min(len(rollout.calls) for rollout in solved)
    return draw.choice([rollout for rollout in solved if len(rollout.calls) == fewest])


def _elite(groups: Sequence[Sequence[Rollout]], solved: Sequence[Sequence[Rollout]], draw: Random) -> list[Rollout]:
    """At most as many as there are cases: those furthest above the mean of their case, whichever it is; ties drawn.

    So of `samples` rollouts one is kept, as of the best of each case, but a case whose best is poor teaches nothing. The
    cross-entropy method's elite (Rubinstein 1999), against the case's mean because cases differ in what can be earned.
    """
    means = [sum(one.reward for one in group) / len(group) for group in groups]
    ranked = [(one.reward - mean, draw.random(), one) for some, mean in zip(solved, means, strict=True) for one in some]
    ranked.sort(key=lambda one: one[:2], reverse=True)
    return [rollout for above, _, rollout in ranked[: len(groups)] if above >= 0]


@dataclass(frozen=True)
class Pair:
    """Two things said to the same prompt, of which the verifier ranks one above the other."""

    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]


def pairs(groups: Sequence[Sequence[Rollout]], seed: int) -> list[tuple[Rollout, Rollout, Pair]]:
    """One pair a case: a best paid episode against a worst paid one, at the call in which the two part.

    Up to there both read and said the same, so the difference in pay is that call's doing or comes after it. Ties are
    drawn by the seed; cases whose episodes are all paid alike, or part nowhere, fall out. Raises TrainingFailed when no
    case is left.
    """
    draw = Random(seed)
    found = []
    for group in groups:
        top, bottom = max(one.reward for one in group), min(one.reward for one in group)
        best, worst = [[one for one in group if one.reward == paid] for paid in (top, bottom)]
        parted = [
            (better, worse, pair)
            for better in best
            for worse in worst
            if top > bottom and (pair := _parted(better, worse))
        ]
        found += [draw.choice(parted)] if parted else []
    if not found:
        raise TrainingFailed("no case has two rollouts that are paid differently: there is nothing to prefer")
    return found


def _parted(better: Rollout, worse: Rollout) -> Pair | None:
    for chosen, rejected in zip(better.calls, worse.calls, strict=False):
        if chosen.prompt_ids != rejected.prompt_ids:
            return None
        if chosen.completion_ids != rejected.completion_ids:
            whole = chosen.completion_ids and rejected.completion_ids
            return Pair(chosen.prompt_ids, chosen.completion_ids, rejected.completion_ids) if whole else None
    return None


def measures(groups: Sequence[Sequence[Rollout]]) -> dict[str, float]:
    passed = sum(any(rollout.solved for rollout in group) for group in groups)
    return summary(groups) | {"pass_n": passed / len(groups)}


def order(lessons: int, wanted: int, seed: int) -> list[int]:
    """Places of the lessons for `wanted` draws: passes over all of them, each in another order."""

    def passes() -> Iterator[int]:
        draw = Random(seed)
        while True:
            yield from draw.sample(range(lessons), lessons)

    return [place for place, _ in zip(passes(), range(wanted), strict=False)]
