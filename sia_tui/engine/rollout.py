"""Episodes: sandboxed workers solve cases through the gateway, the verifier scores them outside.

What a dead worker leaves unfinished is tried again alone; whoever then kills its worker once more is to blame, and only
that episode fails.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from sia_tui.core.episodes import Attempt, Call, Case, HarnessError, Score
from sia_tui.core.hashing import digest
from sia_tui.engine.crew import Crew, Harness, Place, Post
from sia_tui.harness.attempts import Attempts
from sia_tui.harness.workers import Outcome, WorkerDied
from sia_tui.policy.client import Gateway, GatewayError

VIEWS_AT_ONCE = 2
"""Of a pass that measures; each view's worker fits tools and searches on a core of its own."""


PULSE_S, STOPPED_S = 0.5, 3.0
"""A pulse that comes so much late was not late by itself."""


class Interrupted(Exception):
    """The run was asked to pause or stop; finished episodes are saved, the rest is for later."""


@dataclass(frozen=True)
class Trial:
    """One episode to make: a case, and which of its samples."""

    case: Case
    sample: int = 0


@dataclass(frozen=True)
class Terms:
    """Who answers, and how it is sampled."""

    adapter: str | None
    """The gateway's name for it; None: the base."""
    train: bool = False
    """Sampled for training: from the whole distribution, whatever the harness asks for."""
    temperature: float = 1.0
    """Of what is sampled for training, as the next one too."""
    max_tokens: int | None = None
    salt: str | None = None
    """Makes other samples of the same trial: what explores must not draw the same numbers again."""


Done = Callable[[Trial, Attempt, Score], None]


class Rollout:
    """Passes over some cases by one crew. `done` is called once per finished episode, in the order they finish."""

    def __init__(self, place: Place, harness: Harness, crew: Crew, interrupted: Callable[[], bool]) -> None:
        self._place, self._harness, self._crew, self._interrupted = place, harness, crew, interrupted

    async def run(self, trials: Iterable[Trial], terms: Terms, done: Done) -> None:
        """Raises Interrupted, HarnessBroken, GatewayDied, VerifierFailed; what is done by then stays done."""
        self._place.verifier.check()
        self._crew.begin_pass()
        made = _Pass(self._place, self._harness, self._crew, self._interrupted, terms, done)
        work = asyncio.create_task(made.run(trials))
        watch = asyncio.create_task(_raise_death(self._place.gateway))
        pulse = asyncio.create_task(made.notice_stops())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                watch.result()
            await work
        finally:
            for task in (watch, work, pulse):
                task.cancel()
            await asyncio.gather(work, watch, pulse, return_exceptions=True)
        self._place.verifier.check()


class _Pass:
    """One pass under one set of terms."""

    def __init__(
        self,
        place: Place,
        harness: Harness,
        crew: Crew,
        interrupted: Callable[[], bool],
        terms: Terms,
        done: Done,
    ) -> None:
        self._place, self._harness, self._crew = place, harness, crew
        self._interrupted, self._terms, self._done = interrupted, terms, done
        self._spent: dict[Trial, tuple[tuple[Call, ...], float]] = {}
        """Calls and seconds of a first try that a dying worker cut off: the second try has what they left."""
        self._attempts: dict[Trial, Attempts] = {}
        self.stops = 0
        """How often this process stood still, as one that is suspended does; deadlines passed meanwhile are nobody's."""
        self._left = False
        """Some were not begun."""

    async def run(self, trials: Iterable[Trial]) -> None:
        """Whoever is interrupted finishes the episodes under way."""
        by_view: dict[str, list[Trial]] = {}
        for trial in trials:
            by_view.setdefault(trial.case.view, []).append(trial)
        try:
            async with asyncio.TaskGroup() as group:
                for view, some in sorted(by_view.items()):
                    group.create_task(self._view(view, some))
        except BaseExceptionGroup as several:
            raise _first(several) from several
        if self._left:
            raise Interrupted

    async def notice_stops(self) -> NoReturn:
        while True:
            before = time.monotonic()
            await asyncio.sleep(PULSE_S)
            if time.monotonic() - before > PULSE_S + STOPPED_S:
                self.stops += 1

    async def _view(self, view: str, trials: Sequence[Trial]) -> None:
        queue, unfinished = deque(trials), list[Trial]()
        while queue and not self._interrupted():
            try:
                async with self._crew.post(view, len(queue)) as post, asyncio.TaskGroup() as group:
                    for slot, lane in enumerate(post.lanes):
                        group.create_task(self._lane(post, slot, lane, queue, unfinished))
            except BaseExceptionGroup as several:
                raise _first(several) from several
        while unfinished and not self._interrupted():
            await self._alone(view, unfinished.pop(0))
        self._left = self._left or bool(queue or unfinished)

    async def _lane(self, post: Post, slot: int, lane: int, queue: deque[Trial], unfinished: list[Trial]) -> None:
        while queue and post.worker.alive and not self._interrupted():
            trial = queue.popleft()
            try:
                if not await self._episode(post, slot, lane, trial):
                    unfinished.append(trial)
            except WorkerDied as death:
                unfinished.append(trial)
                self._crew.bury(death, post.worker)

    async def _alone(self, view: str, trial: Trial) -> None:
        async with self._crew.alone(view) as post:
            try:
                while not await self._episode(post, 0, post.lanes[0], trial):
                    pass
            except WorkerDied as death:
                late = "did not end within" in death.reason
                error = HarnessError("timeout" if late else "crash", death.reason)
                calls, seconds = self._spent[trial]
                await self._finish(trial, Outcome(None, "policy", (), {}, error, seconds), calls)
                self._crew.bury(death, post.worker)

    async def _episode(self, post: Post, slot: int, lane: int, trial: Trial) -> bool:
        """One try. A second one, after a worker died, has the calls, tokens and seconds that the first one left. False
        where its time ran out while this process was stopped: it is to be tried again."""
        config, gateway = self._place.config, self._place.gateway
        before, waited = self._spent.get(trial, ((), 0.0))
        began, calls, stops = time.monotonic(), before, self.stops
        try:
            await gateway.open_lane(
                lane,
                f"{trial.case.id}/{trial.sample}",
                adapter=self._terms.adapter,
                train=self._terms.train,
                temperature=self._terms.temperature,
                max_tokens=self._terms.max_tokens,
                max_calls=max(1, config.max_calls - len(before)),
                max_total_tokens=max(1, config.max_tokens - _tokens(before)),
                seed=_seed(self._place.seed, trial, self._terms.salt),
            )
            left_s, attempts = max(1.0, config.deadline_s - waited), self._offered(trial)
            outcome = await post.worker.solve(slot, self._unnamed(trial), left_s, attempts)
        finally:
            calls = before + await self._close(lane)
            took = time.monotonic() - began if self.stops == stops else 0.0
            self._spent[trial] = (calls, waited + took)
        if outcome.error is not None and outcome.error.kind == "timeout" and self.stops != stops:
            return False
        await self._finish(trial, outcome, calls)
        return True

    def _offered(self, trial: Trial) -> Attempts | None:
        """The task's compiler, as often as the config lets an episode ask it."""
        place = self._place
        if place.compiler is None or not place.config.attempts:
            return None
        return self._attempts.setdefault(trial, Attempts(place.compiler, place.config.attempts))

    async def _close(self, lane: int) -> tuple[Call, ...]:
        """The lane's calls; none if it was never opened, because opening it was cancelled or refused."""
        try:
            return await self._place.gateway.close_lane(lane)
        except GatewayError as error:
            if error.status != 409:
                raise
            return ()

    def _unnamed(self, trial: Trial) -> Case:
        """The case under an id that says nothing: the same in a resumed run, another one in every generation, so that
        no patch can hold a table of answers by id."""
        return replace(trial.case, id=digest([self._harness.key, trial.case.id, trial.sample])[:16])

    async def _finish(self, trial: Trial, outcome: Outcome, calls: tuple[Call, ...]) -> None:
        asked = self._attempts.pop(trial, None)
        if asked is not None and asked.fault is not None:
            raise asked.fault
        attempt = Attempt(
            trial.case,
            outcome.answer,
            outcome.source if calls else "tool",
            calls,
            (*outcome.tool_calls, *(asked.calls if asked else ())),
            outcome.error,
            outcome.seconds,
            self._place.level,
            outcome.notes,
        )
        score = _sealed(trial.case, await self._place.verifier.score(trial.case.id, outcome.answer))
        if outcome.error is not None and score.failure is not None:
            score = Score(score.reward, outcome.error.kind, score.metrics, score.detail)
        self._done(trial, attempt, score)


async def _raise_death(gateway: Gateway) -> NoReturn:
    raise await gateway.wait_died()


def _seed(seed: int, trial: Trial, salt: str | None) -> int:
    """Drawn by the case, so that two generations that ask the same get the same; another one for every further sample."""
    extra = [trial.sample, salt] if trial.sample or salt else []
    return int(digest([seed, trial.case.id, *extra])[:15], 16)


def _sealed(case: Case, score: Score) -> Score:
    """The expected answer of dev, hidden and test is in no trajectory: whoever reads one cannot learn it."""
    if case.split == "train":
        return score
    return replace(score, detail={name: said for name, said in score.detail.items() if name != "expected"})


def _tokens(calls: Sequence[Call]) -> int:
    return sum(call.tokens for call in calls)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first, in place of the group around it."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def first_of(cases: Sequence[Case], n: int | None, seed: int) -> list[Case]:
    """The first `n` cases in an order drawn by `seed`; smaller draws are the beginning of larger ones."""
    order = sorted(cases, key=lambda case: digest([seed, case.id]))
    return list(itertools.islice(order, n))
