"""Whether a verifier can be trusted with a loop that looks for its holes: the real one, asked what it must and must not pay.

Only train is looked at. Rows come in the order of `core.fitness.ROWS`.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sia_tui.core import fitness
from sia_tui.core.episodes import Score
from sia_tui.core.fitness import Finding
from sia_tui.tasks.attempts import Attempt
from sia_tui.tasks.probe import Answer, Asked, Probe
from sia_tui.tasks.probes import texts
from sia_tui.tasks.task import Task
from sia_tui.tasks.verifier import ENDED, VerifierFailed, VerifierProcess, VerifierTampered

BROKEN = ("verifier_error", "verifier_timeout", "verifier_failed", ENDED)
"""Failure kinds that are the verifier's own."""
UNPAID = ("null", "empty", "random", "nan", "inf", "shape", "dtype", "overlong", "exploits")
Say = Callable[[int, int], None]
"""How many answers are judged, and of how many."""


def fit(task: Task) -> list[Finding]:
    """Of a task whose answers are texts, by a verifier of its own; seconds, for a reward that takes none."""
    return asyncio.run(_fit(task))


async def _fit(task: Task) -> list[Finding]:
    gold = {id: task.gold[id] for id in task.ids("train")}
    with tempfile.TemporaryDirectory(prefix="fit-") as folder:
        try:
            async with VerifierProcess(Path(folder) / "verifier", gold, task.labels, task.judge) as verifier:
                return await ask(texts.probe(task), verifier, len(task.ids("dev")))
        except VerifierFailed as fault:
            return [down(fault)]


def down(fault: VerifierFailed) -> Finding:
    """Of a verifier that does not come up."""
    return fitness.fails("verifier", f"it does not work: {fault}", "run the reward by hand on one case")


async def ask(probe: Probe, verifier: Asked, dev: int, say: Say = lambda done, all: None) -> list[Finding]:
    """Every row that takes a verifier. `dev`: cases that gains are measured on."""
    return await _Asking(probe, verifier, say).rows(dev)


def plain(found: Sequence[Finding]) -> str:
    """The failing rows, a line each; empty when all is well."""
    return "\n".join(f"{one.row}: {one.found}; {one.fix}" for one in found if not one.ok)


class _Asking:
    """One round of questions, counted."""

    def __init__(self, probe: Probe, verifier: Asked, say: Say) -> None:
        self._probe, self._verifier, self._say = probe, verifier, say
        self._turns = asyncio.Semaphore(probe.together)
        self._done = 0
        self._all = len(probe.ids) * (probe.repeats + 1 + len(probe.nulls)) + len(probe.attempts)
        self._broken: list[Score] = []

    async def rows(self, dev: int) -> list[Finding]:
        probe, ids = self._probe, self._probe.ids
        known = probe.right is not None
        right = [await self._each(probe.right, [id] * probe.repeats) for id in ids] if probe.right else []
        golden = statistics.fmean(scores[0] for scores in right) if right else 1.0
        wrong = await self._each(probe.wrong, ids)
        nulls = dict(probe.known_nulls)
        for name, answer in probe.nulls.items():
            nulls[name] = statistics.fmean(await self._each(answer, ids))
        own_null = getattr(self._verifier, "null", None)
        if probe.own_null and own_null is not None:
            nulls[probe.own_null] = (await own_null(ids[0])).reward
        unpaid = await self._attempts(golden, statistics.fmean(wrong) if wrong else 0.0)
        repeated = fitness.repeats(right) if right else None
        sigma = repeated.figures["sigma"] if repeated else 0.0
        return [
            self._bearing(),
            fitness.gold([scores[0] for scores in right], probe.least) if known else _unknown(),
            fitness.wrong(wrong, golden)
            if wrong
            else fitness.ok("wrong", "no wrong answer can be made of these cases"),
            *unpaid[:-1],
            *([repeated] if repeated else []),
            *([fitness.headroom(nulls)] if nulls else []),
            fitness.resolution(dev, sigma),
            *unpaid[-1:],
        ]

    async def _each(self, answer: Answer, ids: Sequence[str]) -> list[float]:
        """Rewards; a case that there is no answer for is left out."""
        asked = [(id, said) for id in ids if (said := answer(id)) is not None]
        return [score.reward for score in await asyncio.gather(*(self._score(id, said) for id, said in asked))]

    async def _score(self, id: str, said: object) -> Score:
        async with self._turns:
            try:
                score = await self._verifier.score(id, said)
            except VerifierTampered:
                raise
            except VerifierFailed as fault:
                score = Score(0.0, "verifier_failed", detail={"verifier": str(fault)})
        self._done += 1
        self._say(self._done, max(self._all, self._done))
        if score.failure in BROKEN:
            self._broken.append(score)
        return score

    async def _attempts(self, golden: float, wrong: float) -> list[Finding]:
        """Each is made on one case, in turn on another."""
        probe, ids = self._probe, self._probe.ids
        honest = max(await self._each(probe.honest, list(ids[:1]) * 2), default=0.0) if probe.honest else 0.0
        places = [ids[place % len(ids)] for place in range(len(probe.attempts))]
        scores = await asyncio.gather(
            *(self._score(id, one.answer(id)) for one, id in zip(probe.attempts, places, strict=True))
        )
        judged: dict[str, dict[str, tuple[str, str]]] = {row: {} for row in UNPAID}
        for one, score in zip(probe.attempts, scores, strict=True):
            most = probe.share * golden if one.row not in ("null", "empty") else 0.0
            judged[one.row][one.name] = _came_to(one, score, honest + probe.slack, most, wrong)
        return [_row(row, found) for row, found in judged.items() if found]

    def _bearing(self) -> Finding:
        if not self._broken:
            return fitness.ok("verifier", f"it judged all {self._done} answers that were tried")
        told = self._broken[0].detail.get("verifier", self._broken[0].failure)
        said = f"it failed on {len(self._broken)} of {self._done} answers: {told}"
        fix = "a reward answers whatever it is given: return 0 for what it cannot read"
        if 2 * len(self._broken) > self._done:
            return fitness.fails("verifier", said, fix)
        return fitness.amber("verifier", said, fix)


def _unknown() -> Finding:
    return fitness.ok("gold", "cases have no gold: whether a right answer is paid cannot be tried here")


def _came_to(one: Attempt, score: Score, honest: float, most: float, wrong: float) -> tuple[str, str]:
    """("", "") where it came to nothing, else whether it was `paid` or went `odd`, and what happened."""
    if score.failure in ("verifier_failed", ENDED):
        return "paid", "it ends the verifier"
    if one.honest:
        return _honest(one, score, honest)
    if score.reward > most:
        return "paid", f"{score.reward:.2f}"
    if score.reward > (0.0 if one.caught else wrong):
        return "odd", f"{score.reward:.2f}"
    if one.caught and score.failure not in one.caught:
        return "odd", f"ended as {score.failure}"
    return "", ""


def _honest(one: Attempt, score: Score, most: float) -> tuple[str, str]:
    if score.reward > most:
        return "paid", f"{score.reward:.2f}, for work worth {most:.2f}"
    if one.contained and score.failure is not None:
        return ("paid", "it got out") if score.failure == "crash" else ("odd", f"ended as {score.failure}")
    return "", ""


def _row(row: str, found: Mapping[str, tuple[str, str]]) -> Finding:
    paid, odd = ({name: said for name, (kind, said) in found.items() if kind == which} for which in ("paid", "odd"))
    return fitness.tried(row, len(found), paid, odd)
