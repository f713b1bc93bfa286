"""Confined workers of one harness: a process a view, so that no case is ever solved beside rows it must not see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from sia_tui.cluster.executor import Executor, Local
from sia_tui.config import HarnessConfig
from sia_tui.core.episodes import HarnessError, Score
from sia_tui.engine import tools
from sia_tui.engine.lots import Waiting
from sia_tui.harness.attempts import Compiler
from sia_tui.harness.launch import Limits, Setup
from sia_tui.harness.opened import KEY, Opened
from sia_tui.harness.sandbox import Isolation
from sia_tui.harness.walls import Walls
from sia_tui.harness.workers import HarnessBroken, Worker, WorkerDied, WorkerLost
from sia_tui.policy.client import Gateway
from sia_tui.tasks.task import Task

STARTS = 3
"""A worker that is killed before it begins may have been killed by the machine, not by its harness. On a node that is well so is
one whose connection breaks."""
LOOK_S = 0.1
"""How often it is looked whether a node has room."""
MOST_DEATHS = 20
"""A harness whose workers die more often than this in one pass is broken, not unlucky."""


class Verifier(Protocol):
    """Who judges answers: the task's own verifier process, where the right ones are known."""

    def check(self) -> None: ...

    async def score(self, case_id: str, answer: object) -> Score: ...


@dataclass(frozen=True)
class Place:
    """Where episodes run: the same for every generation of a run."""

    task: Task
    gateway: Gateway
    verifier: Verifier
    python: Path
    level: Isolation
    walls: Walls
    config: HarnessConfig
    rows_root: Path
    tools_root: Path
    log: Path
    seed: int
    canary: str | None = None
    """The mark of the answer key that is planted beside the rows; None: none is."""
    compiler: Compiler | None = None
    """The task's, where it has one that a harness may ask."""
    executor: Executor = field(default_factory=Local)
    waiting: Waiting = field(default_factory=Waiting)


@dataclass(frozen=True)
class Harness:
    """The package that is run."""

    tree: Path
    files: Mapping[str, str]
    key: str
    """Of the generation, or of the training, it is run for."""


@dataclass(frozen=True)
class Post:
    """A worker with the lanes that are its own."""

    worker: Worker
    lanes: tuple[int, ...]


class NothingLeft(Exception):
    """Others have begun the last of a view meanwhile."""


class Crew:
    """Workers side by side, sharing the gateway's lanes; one lane stays free for a case tried alone. On one machine a
    worker for each of `views`; a cluster has more of them, several at one view.

    With `stay`, a worker outlives the pass it was started for, for the next pass over its view; leaving the crew ends it.
    """

    def __init__(self, place: Place, harness: Harness, views: int, stay: bool = False) -> None:
        lanes = place.gateway.lanes
        self.stay = stay and lanes > views
        self._place, self._harness = place, harness
        workers = max(1, min(place.executor.abreast(views), lanes - 1))
        self.abreast = max(1, workers // views)
        """Workers at one view."""
        workers = self.abreast * views if self.stay else workers
        self._width = max(1, (lanes - 1) // workers)
        self._turns = asyncio.Semaphore(min(workers, max(1, lanes // self._width)))
        self._free: asyncio.Queue[int] = asyncio.Queue()
        for lane in range(lanes):
            self._free.put_nowait(lane)
        self._staying: dict[tuple[str, int], tuple[Post, AsyncExitStack]] = {}
        self._setups: dict[str, Setup] = {}
        self._dead: list[Worker] = []
        self.opened, self._openings = Opened(), place.executor.openings

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in list(self._staying):
            await self._dismiss(one)
        await self.look()
        self.opened.seen()
        self.opened.close()

    @asynccontextmanager
    async def post(self, view: str, wanted: Callable[[], int], nth: int = 0) -> AsyncIterator[Post]:
        """The view's nth live worker, with at most `wanted()` lanes (all of its share if it stays).

        Beside the first of a view there is one only where a node has room: with a node lost there are fewer than there were.

        Raises NothingLeft where none is wanted when its turn comes, HarnessBroken, WorkerLost.
        """
        async with self._turns:
            one = (view, nth)
            if one in self._staying and not self._staying[one][0].worker.alive:
                await self._dismiss(one)
            while nth and one not in self._staying and wanted() and not self._place.executor.room():  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)
            if not wanted():
                raise NothingLeft
            if not self.stay:
                async with self._hired(view, min(self._width, wanted())) as post:
                    yield post
                return
            if one not in self._staying:
                stack = AsyncExitStack()
                self._staying[one] = (await stack.enter_async_context(self._hired(view, self._width)), stack)
            yield self._staying[one][0]

    @asynccontextmanager
    async def alone(self, view: str) -> AsyncIterator[Post]:
        """A worker of its own with one lane."""
        async with self._hired(view, 1) as post:
            yield post

    async def look(self) -> None:
        """Has other machines say whether a planted key was opened there. What only the next crew heard of would be laid to
        its harness."""
        await self._place.executor.look()

    def key_seen(self) -> bool:
        """Whether a planted key is known to have been opened since the crew is there, on any machine."""
        return self._place.executor.openings > self._openings or self.opened.seen()

    def begin_pass(self) -> None:
        """Deaths are counted anew."""
        self._dead.clear()

    def bury(self, death: WorkerDied, worker: Worker) -> None:
        """Each worker dies once for all its lanes. Raises HarnessBroken when too many have."""
        if worker in self._dead:
            return
        self._dead.append(worker)
        if len(self._dead) > MOST_DEATHS:
            reason = f"{len(self._dead)} workers died, the last one because {death.reason}"
            raise HarnessBroken("run", HarnessError("crash", reason)) from death

    async def _dismiss(self, one: tuple[str, int]) -> None:
        _, stack = self._staying.pop(one)
        await stack.aclose()

    @asynccontextmanager
    async def _hired(self, view: str, width: int) -> AsyncIterator[Post]:
        setup = await self._setup(view)
        lanes: list[int] = []
        try:
            for _ in range(width):
                lanes.append(await self._free.get())
            async with self._started(setup, lanes) as worker:
                yield Post(worker, tuple(lanes))
        finally:
            for lane in lanes:
                self._free.put_nowait(lane)

    @asynccontextmanager
    async def _started(self, setup: Setup, lanes: Sequence[int]) -> AsyncIterator[Worker]:
        """Raises HarnessBroken also when the process dies before it is ready, every time: that is no case's doing. Raises
        WorkerLost."""
        starting = AsyncExitStack()
        doors, executor = [partial(self._place.gateway.connect, lane) for lane in lanes], self._place.executor
        for attempt in range(STARTS):
            worker = Worker(setup.limits, len(lanes), partial(executor.start, setup, doors))
            try:
                await starting.enter_async_context(worker)
                break
            except (WorkerDied, WorkerLost) as death:
                if isinstance(death, WorkerLost) and worker.node not in executor.busy():
                    raise
                if attempt == STARTS - 1:
                    raise HarnessBroken("import", HarnessError("crash", str(death))) from death
        async with starting:
            yield worker

    async def _setup(self, view: str) -> Setup:
        if view not in self._setups:
            self._setups[view] = await self._prepared(view)
        return self._setups[view]

    async def _prepared(self, view: str) -> Setup:
        place, harness = self._place, self._harness
        rows = tools.rows_folder(place.rows_root, place.task, view, place.canary)
        if place.canary is not None:
            await place.executor.know(rows)
            self.opened.look_at(rows / KEY)
        setup = Setup(
            level=place.level,
            python=place.python,
            harness=harness.tree,
            rows=rows,
            tools=rows,
            log=place.log,
            limits=Limits(memory_mb=place.config.memory_mb, scratch_mb=place.config.scratch_mb),
            agent=place.config.agent,
            walls=place.walls,
        )
        if setup.agent is not None:
            return setup
        name = tools.tools_name(harness.files, rows.name, place.python)
        try:
            made = await tools.prepared(place.tools_root, name, setup, place.config.prepare_s)
        except WorkerDied as death:
            raise HarnessBroken("prepare", HarnessError("crash", death.reason)) from death
        return setup.model_copy(update={"tools": made})
