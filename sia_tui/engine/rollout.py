"""Episodes of one generation: sandboxed workers solve cases through the gateway, the verifier scores them outside.

A worker serves one view, so no case is ever solved beside rows it must not see. What a dead worker leaves unfinished is
tried again alone; whoever then kills its worker once more is to blame, and only that case fails.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from sia_tui.config import HarnessConfig
from sia_tui.core.episodes import Attempt, Call, Case, HarnessError, Score
from sia_tui.core.hashing import digest
from sia_tui.engine import tools
from sia_tui.harness.launch import Limits, Setup
from sia_tui.harness.sandbox import Isolation
from sia_tui.harness.workers import HarnessBroken, Outcome, Worker, WorkerDied
from sia_tui.policy.client import Gateway, GatewayError
from sia_tui.tasks.task import Task
from sia_tui.tasks.verifier import VerifierProcess

VIEWS_AT_ONCE = 2
STARTS = 3
"""A worker that is killed before it begins may have been killed by the machine, not by its harness."""
MOST_DEATHS = 20
"""A harness whose workers die more often than this in one pass is broken, not unlucky."""
Done = Callable[[Attempt, Score], None]


class Interrupted(Exception):
    """The run was asked to pause or stop; finished episodes are saved, the rest is for later."""


@dataclass(frozen=True)
class Place:
    """Where episodes run: the same for every generation of a run."""

    task: Task
    gateway: Gateway
    verifier: VerifierProcess
    python: Path
    level: Isolation
    config: HarnessConfig
    rows_root: Path
    tools_root: Path
    log: Path
    seed: int


@dataclass(frozen=True)
class Candidate:
    """What is run: a harness package with the adapter that answers it."""

    tree: Path
    files: Mapping[str, str]
    adapter: str | None
    key: str
    """The generation's key."""


class Rollout:
    """One pass over some cases. `done` is called once per finished episode, in the order they finish."""

    def __init__(self, place: Place, candidate: Candidate, done: Done, interrupted: Callable[[], bool]) -> None:
        self._place, self._candidate, self._done, self._interrupted = place, candidate, done, interrupted
        self._spent: dict[str, tuple[tuple[Call, ...], float]] = {}
        """Calls and seconds of a first try that a dying worker cut off, by case: the second try has what they left."""
        self._dead: list[Worker] = []
        self._lanes: asyncio.Queue[int] = asyncio.Queue()
        for lane in range(place.gateway.lanes):
            self._lanes.put_nowait(lane)

    async def run(self, cases: Iterable[Case]) -> None:
        """Raises Interrupted, HarnessBroken, GatewayDied, VerifierFailed; what is done by then stays done."""
        by_view: dict[str, list[Case]] = {}
        for case in cases:
            by_view.setdefault(case.view, []).append(case)
        self._place.verifier.check()
        work = asyncio.create_task(self._views(by_view))
        watch = asyncio.create_task(_raise_death(self._place.gateway))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                watch.result()
            await work
        finally:
            watch.cancel()
            work.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)
        self._place.verifier.check()

    async def _views(self, by_view: Mapping[str, Sequence[Case]]) -> None:
        width = max(1, self._place.gateway.lanes // min(VIEWS_AT_ONCE, max(1, len(by_view))))
        turns = asyncio.Semaphore(VIEWS_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                for view, cases in sorted(by_view.items()):
                    group.create_task(self._view(view, cases, width, turns))
        except BaseExceptionGroup as several:
            raise _first(several) from several

    async def _view(self, view: str, cases: Sequence[Case], width: int, turns: asyncio.Semaphore) -> None:
        async with turns:
            setup = await self._setup(view)
            queue, unfinished = deque(cases), list[Case]()
            while queue:
                unfinished += await self._serve(setup, queue, min(width, len(queue)))
            for case in unfinished:
                await self._alone(setup, case)

    async def _setup(self, view: str) -> Setup:
        place = self._place
        rows = tools.rows_folder(place.rows_root, place.task, view)
        setup = Setup(
            level=place.level,
            python=place.python,
            harness=self._candidate.tree,
            rows=rows,
            tools=rows,
            log=place.log,
            limits=Limits(memory_mb=place.config.memory_mb, scratch_mb=place.config.scratch_mb),
        )
        name = tools.tools_name(self._candidate.files, rows, place.python)
        try:
            made = await tools.prepared(place.tools_root, name, setup, place.config.prepare_s)
        except WorkerDied as death:
            raise HarnessBroken("prepare", HarnessError("crash", death.reason)) from death
        return setup.model_copy(update={"tools": made})

    async def _serve(self, setup: Setup, queue: deque[Case], width: int) -> list[Case]:
        """Solve cases of the queue side by side until it is empty or the worker dies; returns what it was solving then."""
        lanes = [await self._lanes.get() for _ in range(width)]
        unfinished: list[Case] = []
        try:
            async with self._worker(setup, lanes) as worker, asyncio.TaskGroup() as group:
                for slot, lane in enumerate(lanes):
                    group.create_task(self._lane(worker, slot, lane, queue, unfinished))
        except BaseExceptionGroup as several:
            raise _first(several) from several
        finally:
            for lane in lanes:
                self._lanes.put_nowait(lane)
        return unfinished

    async def _lane(self, worker: Worker, slot: int, lane: int, queue: deque[Case], unfinished: list[Case]) -> None:
        while queue and worker.alive:
            if self._interrupted():
                raise Interrupted
            case = queue.popleft()
            try:
                await self._episode(worker, slot, lane, case)
            except WorkerDied as death:
                unfinished.append(case)
                self._bury(death, worker)

    def _bury(self, death: WorkerDied, worker: Worker) -> None:
        """Each worker dies once for all its lanes. Raises HarnessBroken when too many have."""
        if worker in self._dead:
            return
        self._dead.append(worker)
        if len(self._dead) > MOST_DEATHS:
            reason = f"{len(self._dead)} workers died, the last one because {death.reason}"
            raise HarnessBroken("run", HarnessError("crash", reason)) from death

    @asynccontextmanager
    async def _worker(self, setup: Setup, lanes: Sequence[int]) -> AsyncIterator[Worker]:
        """Raises HarnessBroken also when the process dies before it is ready, every time: that is no case's doing."""
        starting = AsyncExitStack()
        for attempt in range(STARTS):
            try:
                sockets = [self._place.gateway.connect(lane) for lane in lanes]
                worker = await starting.enter_async_context(Worker(setup, sockets))
                break
            except WorkerDied as death:
                if attempt == STARTS - 1:
                    raise HarnessBroken("import", HarnessError("crash", death.reason)) from death
        async with starting:
            yield worker

    async def _alone(self, setup: Setup, case: Case) -> None:
        if self._interrupted():
            raise Interrupted
        lane = await self._lanes.get()
        try:
            async with self._worker(setup, [lane]) as worker:
                try:
                    await self._episode(worker, 0, lane, case)
                except WorkerDied as death:
                    late = "did not end within" in death.reason
                    error = HarnessError("timeout" if late else "crash", death.reason)
                    calls, seconds = self._spent[case.id]
                    await self._finish(case, Outcome(None, "policy", (), {}, error, seconds), calls)
                    self._bury(death, worker)
        finally:
            self._lanes.put_nowait(lane)

    async def _episode(self, worker: Worker, slot: int, lane: int, case: Case) -> None:
        """One try. A second one, after a worker died, has the calls, tokens and seconds that the first one left."""
        config, gateway = self._place.config, self._place.gateway
        before, waited = self._spent.get(case.id, ((), 0.0))
        began, calls = time.monotonic(), before
        try:
            await gateway.open_lane(
                lane,
                case.id,
                adapter=self._candidate.adapter,
                max_calls=max(1, config.max_calls - len(before)),
                max_total_tokens=max(1, config.max_tokens - _tokens(before)),
                seed=int(digest([self._place.seed, case.id])[:15], 16),
            )
            outcome = await worker.solve(slot, self._unnamed(case), max(1.0, config.deadline_s - waited))
        finally:
            calls = before + await self._close(lane)
            self._spent[case.id] = (calls, waited + time.monotonic() - began)
        await self._finish(case, outcome, calls)

    async def _close(self, lane: int) -> tuple[Call, ...]:
        """The lane's calls; none if it was never opened, because opening it was cancelled or refused."""
        try:
            return await self._place.gateway.close_lane(lane)
        except GatewayError as error:
            if error.status != 409:
                raise
            return ()

    def _unnamed(self, case: Case) -> Case:
        """The case under an id that says nothing: the same in a resumed run, another one in every generation, so that
        no patch can hold a table of answers by id."""
        return replace(case, id=digest([self._candidate.key, case.id])[:16])

    async def _finish(self, case: Case, outcome: Outcome, calls: tuple[Call, ...]) -> None:
        attempt = Attempt(
            case,
            outcome.answer,
            outcome.source if calls else "tool",
            calls,
            outcome.tool_calls,
            outcome.error,
            outcome.seconds,
            self._place.level,
            outcome.notes,
        )
        score = _sealed(case, await self._place.verifier.score(case.id, outcome.answer))
        if outcome.error is not None and score.failure is not None:
            score = Score(score.reward, outcome.error.kind, score.metrics, score.detail)
        self._done(attempt, score)


async def _raise_death(gateway: Gateway) -> NoReturn:
    raise await gateway.wait_died()


def _sealed(case: Case, score: Score) -> Score:
    """The expected answer of dev, hidden and test is in no trajectory: whoever reads one cannot learn it."""
    if case.split == "train":
        return score
    return replace(score, detail={name: said for name, said in score.detail.items() if name != "expected"})


def _tokens(calls: Sequence[Call]) -> int:
    return sum(len(call.prompt_ids) + len(call.completion_ids) for call in calls)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first, in place of the group around it."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def first_of(cases: Sequence[Case], n: int | None, seed: int) -> list[Case]:
    """The first `n` cases in an order drawn by `seed`; smaller draws are the beginning of larger ones."""
    order = sorted(cases, key=lambda case: digest([seed, case.id]))
    return list(itertools.islice(order, n))
