"""Episodes: sandboxed workers solve cases through the gateway, the verifier scores them outside.

What a dead worker leaves unfinished is tried again alone; whoever then kills its worker once more is to blame, and only
that episode fails.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from sia_tui.core.episodes import Attempt, Call, Case, HarnessError, Score
from sia_tui.core.hashing import digest
from sia_tui.engine.crew import Crew, Harness, NothingLeft, Place, Post
from sia_tui.engine.leaving import is_ending
from sia_tui.engine.lots import Lot, Trial
from sia_tui.harness.attempts import Attempts
from sia_tui.harness.sandbox import Isolation
from sia_tui.harness.workers import Outcome, WorkerDied, WorkerLost
from sia_tui.policy.client import Closed, Gateway, GatewayDied, GatewayError

VIEWS_AT_ONCE = 2
"""Of a pass that measures; each view's worker fits tools and searches on a core of its own."""


MOST_DISTURBED = 3
"""Tries of an episode that the server behind the gateway may cut short."""
LOOK_S = 0.1
"""How often a lane with nothing to do looks whether something is late."""
PULSE_S, STOPPED_S = 0.5, 3.0
"""A pulse that comes so much late was not late by itself."""
MOST_TORN = 3
"""A trial whose worker's connection broke so often, on nodes that are well, is to blame: a harness can break it itself."""


class Interrupted(Exception):
    """The run was asked to pause or stop; finished episodes are saved, the rest is for later."""


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
        await self._crew.look()
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
        self._disturbed: Counter[Trial] = Counter()
        self._over: set[Trial] = set()
        self._solving: dict[Trial, list[asyncio.Future[Outcome]]] = {}
        self._torn: dict[Trial, list[str]] = {}
        """The nodes on which a trial's worker was lost."""
        self._lots: dict[str, Lot] = {}
        self.stops = 0
        """How often this process stood still, as one that is suspended does; deadlines passed meanwhile are nobody's."""

    async def run(self, trials: Iterable[Trial]) -> None:
        """Whoever is interrupted finishes the episodes under way."""
        by_view: dict[str, list[Trial]] = {}
        for trial in trials:
            by_view.setdefault(trial.case.view, []).append(trial)
        self._lots = {view: Lot(some) for view, some in sorted(by_view.items())}
        self._place.waiting.lots = self._lots.values()
        try:
            async with asyncio.TaskGroup() as group:
                # A second worker of a view comes after the first of every other: each learns its view's tools anew.
                for nth in range(self._crew.abreast):
                    for view, lot in self._lots.items():
                        group.create_task(self._post(view, lot, nth))
        except BaseExceptionGroup as several:
            raise _first(several) from several
        for view, lot in self._lots.items():
            while lot.unfinished and not self._interrupted():
                if await self._alone(view, lot.unfinished[0]):
                    lot.unfinished.pop(0)
        if any(lot.queue or lot.unfinished for lot in self._lots.values()):
            raise Interrupted

    async def notice_stops(self) -> NoReturn:
        while True:
            before = time.monotonic()
            await asyncio.sleep(PULSE_S)
            if time.monotonic() - before > PULSE_S + STOPPED_S:
                self.stops += 1

    async def _post(self, view: str, lot: Lot, nth: int) -> None:
        """Workers one after the other, until nothing of the view is left to begin."""

        def wanted() -> int:
            return 0 if self._interrupted() else len(lot.queue)

        while wanted():
            lost: list[Trial] = []
            try:
                async with self._crew.post(view, wanted, nth) as post, asyncio.TaskGroup() as group:
                    for slot, lane in enumerate(post.lanes):
                        group.create_task(self._lane(post, slot, lane, lot, lost))
            except NothingLeft:
                return
            except WorkerLost:
                continue
            except BaseExceptionGroup as several:
                raise _first(several) from several
            if lost:
                self._place.executor.reissued(post.worker.node, len(lost), "lost")

    async def _lane(self, post: Post, slot: int, lane: int, lot: Lot, lost: list[Trial]) -> None:
        while (trial := await self._next(post, slot, lot)) is not None:
            flight, over, died = lot.begin(trial, post.worker.node), False, None
            try:
                over = await self._episode(post, slot, lane, trial)
            except WorkerDied as death:
                died = death
            except WorkerLost:
                lost.append(trial)
            finally:
                alone = lot.leave(flight, over)
            if trial in lost and alone:
                self._attempts.pop(trial, None)
                lot.queue.appendleft(trial)
            elif not over and alone:
                lot.unfinished.append(trial)
            if died is not None:
                self._crew.bury(died, post.worker)

    async def _next(self, post: Post, slot: int, lot: Lot) -> Trial | None:
        """What a free lane is to begin: the next trial, or, where none is left anywhere, one that is late on another node. What
        is called off may still ask until the worker has left it: its calls would be recorded as the next one's."""
        again = self._place.executor.reissue
        while post.worker.alive and not self._interrupted():
            free, late = post.worker.free(slot), None
            if lot.queue:
                if free:
                    return lot.queue.popleft()
            elif again is None or not lot.under_way or any(other.queue for other in self._lots.values()):
                return None
            elif free:
                late = lot.late(post.worker.node, again)
            # What was asked of a compiler is counted by the episode that asks.
            if late is not None and self._offered(late.trial) is None:
                self._place.executor.reissued(late.node, 1, "late")
                return late.trial
            await asyncio.sleep(LOOK_S)
        return None

    async def _alone(self, view: str, trial: Trial) -> bool:
        """Whether it is made; not so where its worker was lost."""
        try:
            async with self._crew.alone(view) as post:
                await self._to_the_end(post, trial)
        except WorkerLost:
            return False
        return True

    async def _to_the_end(self, post: Post, trial: Trial) -> None:
        """Whatever comes of it is the episode's own. Raises WorkerLost."""
        try:
            while not await self._episode(post, 0, post.lanes[0], trial):
                pass
        except WorkerDied as death:
            late = "did not end within" in death.reason
            error = HarnessError("timeout" if late else "crash", death.reason)
            calls, seconds = self._spent.get(trial, ((), 0.0))
            await self._finish(trial, Outcome(None, "policy", (), {}, error, seconds), calls, post.worker.level)
            self._crew.bury(death, post.worker)
        except WorkerLost:
            self._attempts.pop(trial, None)
            self._place.executor.reissued(post.worker.node, 1, "lost")
            raise

    async def _episode(self, post: Post, slot: int, lane: int, trial: Trial) -> bool:
        """One try. A second one, after a worker died, has the calls, tokens and seconds that the first one left; after one
        was lost or beaten, all that it had. False where it is to be tried again: its time ran out while this process was
        stopped, or the server behind the gateway cut it short."""
        config, gateway = self._place.config, self._place.gateway
        before, waited = self._spent.get(trial, ((), 0.0))
        left_s = max(1.0, config.deadline_s - waited)
        began, calls, stops, counts = time.monotonic(), before, self.stops, True
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
                seconds=left_s,
            )
            outcome = await self._solved(post, slot, trial, left_s, self._offered(trial))
            counts = outcome is not None
        except WorkerLost as loss:
            counts = self._its_own_doing(trial, post.worker.node)
            if counts:
                raise WorkerDied(f"{loss}, again and again") from loss
            raise
        finally:
            closed = await self._close(lane)
            calls = before + closed.calls
            took = time.monotonic() - began if self.stops == stops else 0.0
            if counts:
                self._spent[trial] = (calls, waited + took)
        if outcome is None:
            return True
        error = outcome.error
        stopped = error is not None and error.kind == "timeout" and self.stops != stops
        if stopped or (error is not None and trial not in self._over and self._was_cut_short(trial, error, closed)):
            self._spent[trial] = (before, waited)
            self._attempts.pop(trial, None)
            return False
        await self._finish(trial, outcome, calls, post.worker.level)
        return True

    def _was_cut_short(self, trial: Trial, error: HarnessError, closed: Closed) -> bool:
        """Whether the server behind the gateway is to blame: it left a call unanswered, or answered so late that the time ran
        out. One that is late every time is no reason to wait for ever. Raises GatewayDied for one that never answers."""
        if not closed.unanswered and not (closed.delayed and error.kind == "timeout"):
            return False
        self._disturbed[trial] += 1
        if self._disturbed[trial] < MOST_DISTURBED:
            return True
        if closed.unanswered:
            raise GatewayDied(f"{MOST_DISTURBED} tries of an episode are unanswered: {closed.unanswered}")
        return False

    async def _solved(
        self, post: Post, slot: int, trial: Trial, left_s: float, attempts: Attempts | None
    ) -> Outcome | None:
        """What the harness makes of it; None where another node's episode of the trial ended first."""
        solving = asyncio.ensure_future(post.worker.solve(slot, self._unnamed(trial), left_s, attempts))
        self._solving.setdefault(trial, []).append(solving)
        try:
            return await solving
        except asyncio.CancelledError:
            if trial not in self._over or is_ending():
                raise
            return None
        finally:
            if solving in (others := self._solving.get(trial, [])):
                others.remove(solving)

    def _its_own_doing(self, trial: Trial, node: str) -> bool:
        """Of a worker that was lost there: whether the trial has lost too many of nodes that are well."""
        self._torn.setdefault(trial, []).append(node)
        well = self._place.executor.busy()
        return sum(one in well for one in self._torn[trial]) >= MOST_TORN

    def _offered(self, trial: Trial) -> Attempts | None:
        """The task's compiler, as often as the config lets an episode ask it."""
        place = self._place
        if place.compiler is None or not place.config.attempts:
            return None
        return self._attempts.setdefault(trial, Attempts(place.compiler, place.config.attempts))

    async def _close(self, lane: int) -> Closed:
        """The lane's calls; none if it was never opened, because opening it was cancelled or refused."""
        try:
            return await self._place.gateway.leave_lane(lane)
        except GatewayError as error:
            if error.status != 409:
                raise
            return Closed(())

    def _unnamed(self, trial: Trial) -> Case:
        """The case under an id that says nothing: the same in a resumed run, another one in every generation, so that
        no patch can hold a table of answers by id."""
        return replace(trial.case, id=digest([self._harness.key, trial.case.id, trial.sample])[:16])

    async def _finish(self, trial: Trial, outcome: Outcome, calls: tuple[Call, ...], level: Isolation) -> None:
        """Once for each trial: whoever else is at it is called off, and is dropped if it ends all the same."""
        if trial in self._over:
            return
        self._over.add(trial)
        for solving in self._solving.pop(trial, ()):
            solving.cancel()
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
            level,
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
