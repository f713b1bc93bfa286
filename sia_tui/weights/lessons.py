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
    """One success a case: the best paid, of these the one that asked least, ties drawn by the seed. Cases without a
    success fall out. (What an episode asked in vain before it succeeded is not worth cloning.)

    Raises TrainingFailed when there is none at all.
    """
    draw = Random(seed)
    lessons = []
    for group in groups:
        solved = [r for r in group if r.solved and any(call.completion_ids for call in r.calls)]
        top = max((rollout.reward for rollout in solved), default=0.0)
        paid = [rollout for rollout in solved if rollout.reward == top]
        fewest = min((len(rollout.calls) for rollout in paid), default=0)
        best = [rollout for rollout in paid if len(rollout.calls) == fewest]
        lessons += [draw.choice(best)] if best else []
    if not lessons:
        raise TrainingFailed("no rollout solved its case: there is nothing to clone")
    return lessons


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
