"""The engine's side of a worker: episodes in, outcomes out, and a clear end when the process cannot be trusted.

A worker holds no state worth saving. Whatever is odd, be it silence past a deadline, garbage on the control socket or
an exit, kills the process group and fails everything that was in flight, with the list of it: who was to blame cannot
be known, so the caller tries these one at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sia_tui.core.episodes import Case, HarnessError, Source, ToolCall
from sia_tui.harness import launch, messages
from sia_tui.harness.attempts import Attempts
from sia_tui.harness.launch import Child, Limits, Setup
from sia_tui.harness.sandbox import Isolation
from sia_tui.harness.uids import take_back
from sia_tui.trees import TooDeep, below

__all__ = ["HarnessBroken", "Limits", "Outcome", "Setup", "Worker", "WorkerDied", "WorkerLost", "prepare"]

Start = Callable[[], Awaitable[Child]]
"""Starts the process, here or elsewhere. Raises WorkerLost where it went away meanwhile."""


class WorkerDied(Exception):
    """The process is gone. `in_flight` are the ids of the cases it was solving, this caller's among them."""

    def __init__(self, reason: str, in_flight: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.in_flight = in_flight


class WorkerLost(Exception):
    """Its machine is gone, or cannot be heard: what it was doing is nobody's fault and is to be done again."""


class HarnessBroken(Exception):
    """The harness cannot begin: its code does not import, or load or prepare fails. No case is to blame."""

    def __init__(self, stage: str, error: HarnessError) -> None:
        super().__init__(f"{stage}: {error.message}")
        self.stage = stage
        self.error = error


@dataclass(frozen=True)
class Outcome:
    """What a harness made of one case."""

    answer: str | None
    source: Source
    tool_calls: tuple[ToolCall, ...]
    notes: Mapping[str, Any]
    error: HarnessError | None
    seconds: float
    """By this side's clock."""


@dataclass
class _Pending:
    case_id: str
    lane: int
    watchdog: asyncio.TimerHandle
    attempts: Attempts | None
    began: float
    future: asyncio.Future[Outcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Worker:
    """One confined harness process with so many lanes; each solves one case at a time."""

    def __init__(self, limits: Limits, lanes: int, start: Start) -> None:
        self._limits, self._start = limits, start
        self._lanes = [asyncio.Lock() for _ in range(lanes)]
        self._ids = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._death: WorkerDied | WorkerLost | None = None
        self._child: Child | None = None
        self._listener: asyncio.Task[None] | None = None
        self._asked: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._child = await self._start()
        try:
            await _begun(self._child, messages.Ready, self._limits.ready_s)
        except BaseException:
            await self._child.close()
            raise
        self._listener = asyncio.create_task(self._listen(self._child))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._die("the worker was closed")
        tasks = [*self._asked, *([self._listener] if self._listener is not None else [])]
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            if self._child is not None:
                await self._child.close()

    @property
    def alive(self) -> bool:
        return self._child is not None and self._death is None

    @property
    def node(self) -> str:
        return self._child.node if self._child is not None else ""

    @property
    def level(self) -> Isolation:
        assert self._child is not None
        return self._child.level

    def free(self, lane: int) -> bool:
        """Whether the lane's episode is over, which may be later than it was called off: until then it may still ask."""
        return not self._lanes[lane].locked()

    async def solve(self, lane: int, case: Case, deadline_s: float, attempts: Attempts | None = None) -> Outcome:
        """Solves one case. Raises WorkerDied, WorkerLost; whatever the harness itself does wrong is in `Outcome.error`.

        The deadline is the harness'; it is killed only after a grace. Cancelling this cancels the episode, and the lane
        is free again once the worker has said so.
        """
        await self._lanes[lane].acquire()
        if not self.alive:
            self._lanes[lane].release()
            raise self._after()
        number = next(self._ids)
        pending = self._begin(number, lane, case, deadline_s, attempts)
        try:
            return await asyncio.shield(pending.future)
        except asyncio.CancelledError:
            self._tell({"cancel": {"id": number}})
            raise

    def _after(self) -> WorkerDied | WorkerLost:
        """For whoever comes once it is gone, and so was not in flight."""
        if isinstance(self._death, WorkerLost):
            return self._death
        return WorkerDied(self._death.reason if self._death else "the worker was not started")

    def _begin(self, number: int, lane: int, case: Case, deadline_s: float, attempts: Attempts | None) -> _Pending:
        reason = f"case {case.id} did not end within its {deadline_s:g} s and did not give way"
        loop = asyncio.get_running_loop()
        watchdog = loop.call_later(deadline_s + self._limits.grace_s, self._die, reason)
        pending = self._pending[number] = _Pending(case.id, lane, watchdog, attempts, loop.time())
        pending.future.add_done_callback(lambda future: future.exception())
        told = {"id": case.id, "inputs": dict(case.inputs)}
        left = attempts.left if attempts else 0
        self._tell({"solve": {"id": number, "lane": lane, "case": told, "deadline_s": deadline_s, "attempts": left}})
        return pending

    def _tell(self, message: Mapping[str, Any]) -> None:
        if self._child is not None and self._death is None:
            self._child.writer.write(json.dumps(message).encode("ascii") + b"\n")

    async def _listen(self, child: Child) -> None:
        self._die(await self._heard(child))

    async def _heard(self, child: Child) -> str:
        """Takes what the worker says until it can say no more, and returns why."""
        try:
            while line := await child.reader.readline():
                self._take(messages.parse(line))
        except messages.Garbage as error:
            return f"the worker wrote garbage on its control socket: {error}"
        except ValueError:
            return "the worker wrote an endless line on its control socket"
        except OSError as error:
            return f"the control socket broke: {error}"
        return f"the worker ended: {await child.ending()}"

    def _take(self, said: object) -> None:
        if isinstance(said, messages.AttemptLine):
            self._take_attempt(said)
            return
        pending = self._pending.pop(said.id, None) if isinstance(said, messages.Done) else None
        if pending is None or not isinstance(said, messages.Done):
            raise messages.Garbage("an answer to no question")
        self._free(pending)
        pending.future.set_result(_outcome(said, asyncio.get_running_loop().time() - pending.began))

    def _take_attempt(self, said: messages.AttemptLine) -> None:
        pending = self._pending.get(said.id)
        attempts = pending.attempts if pending else None
        if attempts is None or attempts.asking or attempts.left < 1:
            raise messages.Garbage("an attempt that was not offered")
        attempts.asking = True
        task = asyncio.create_task(self._attempted(said, attempts))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _attempted(self, said: messages.AttemptLine, attempts: Attempts) -> None:
        self._tell({"said": {"id": said.id, "text": await attempts.ask(said.answer)}})

    def _free(self, pending: _Pending) -> None:
        pending.watchdog.cancel()
        self._lanes[pending.lane].release()

    def _die(self, reason: str) -> None:
        """Synchronous, so that nothing can be sent between the verdict and the kill."""
        if self._death is not None:
            return
        in_flight = tuple(pending.case_id for pending in self._pending.values())
        self._death = WorkerDied(reason, in_flight)
        if self._child is not None:
            self._death = _death(self._child, reason, in_flight)
            self._child.kill()
        for pending in self._pending.values():
            self._free(pending)
            pending.future.set_exception(self._death)
        self._pending.clear()


async def prepare(setup: Setup, deadline_s: float) -> None:
    """Runs tools.prepare(rows, out) confined, `setup.tools` being the out folder, which must be there and empty.

    The rest of the machine will read that folder, so it may hold plain files and folders only. Raises HarnessBroken for
    what the harness did, WorkerDied for what became of the process; what was half written is the caller's to remove.
    """
    if any(setup.tools.iterdir()):
        raise ValueError(f"{setup.tools} is not empty")
    child = await launch.spawn(setup, "prepare")
    try:
        await _begun(child, messages.Prepared, deadline_s)
    finally:
        await child.close()
    fault = await asyncio.to_thread(_fault_of, setup.tools, setup.limits.tools_mb * 1024 * 1024)
    if fault:
        raise HarnessBroken("prepare", HarnessError("exception", fault))
    if os.geteuid() == 0:
        await asyncio.to_thread(take_back, setup.tools)


async def _begun(child: Child, wanted: type[messages.Ready | messages.Prepared], deadline_s: float) -> None:
    """The first line, which has to be the one wanted."""
    try:
        async with asyncio.timeout(deadline_s):
            line = await child.reader.readline()
        said = messages.parse(line) if line else None
    except TimeoutError:
        if lost := child.lost():
            raise WorkerLost(lost) from None
        error = HarnessError("timeout", f"not ready within {deadline_s:g} s")
        raise HarnessBroken("prepare" if wanted is messages.Prepared else "import", error) from None
    except (ValueError, OSError) as error:
        raise _death(child, f"the worker wrote garbage on its control socket: {error}") from None
    if said is None:
        raise _death(child, f"the worker ended before it began: {await child.ending()}")
    if isinstance(said, messages.Failed) and said.stage == "confine":
        raise WorkerDied(f"the sandbox could not be put up: {said.message}")
    if isinstance(said, messages.Failed):
        raise HarnessBroken(said.stage, HarnessError("exception", said.message, said.traceback))
    if not isinstance(said, wanted):
        raise WorkerDied("the worker began with the wrong message")


def _death(child: Child, reason: str, in_flight: tuple[str, ...] = ()) -> WorkerDied | WorkerLost:
    lost = child.lost()
    return WorkerLost(lost) if lost else WorkerDied(reason, in_flight)


def _outcome(done: messages.Done, seconds: float) -> Outcome:
    return Outcome(done.answer, done.source, done.recorded_calls(), done.notes, done.harness_error(), seconds)


def _fault_of(folder: Path, limit: int) -> str:
    """Why what prepare() left cannot be used, or nothing. Links are not followed and set-id bits are refused."""
    size = 0
    try:
        for entry in below(folder):
            with contextlib.suppress(FileNotFoundError):
                told = entry.stat(follow_symlinks=False)
                if not (stat.S_ISREG(told.st_mode) or stat.S_ISDIR(told.st_mode)) or told.st_mode & 0o7000:
                    return f"prepare left {entry.name!r}, which is no plain file or folder"
                size += told.st_size
    except TooDeep as deep:
        return f"prepare left {deep}"
    return f"prepare left {size} bytes, at most {limit} are taken" if size > limit else ""
