"""The loop: ask the pure core what comes next, do it, record it, ask again. Killed at any moment, it goes on from its log."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sia_tui.config import RunConfig
from sia_tui.core import events as ev
from sia_tui.core import loop
from sia_tui.core.episodes import Split
from sia_tui.core.text import one_line
from sia_tui.engine import evaluate, finish, first, history, pilot, prepare, remembering, step, training
from sia_tui.engine.commands import heed
from sia_tui.engine.jobs import JobFailed
from sia_tui.engine.machine import Meter
from sia_tui.engine.mirror import Mirror
from sia_tui.engine.progress import Reporter
from sia_tui.engine.rollout import Interrupted
from sia_tui.engine.session import EngineError, Session
from sia_tui.harness.environment import EnvironmentFailed
from sia_tui.harness.repository import RepositoryError
from sia_tui.harness.sandbox import SandboxUnavailable, choose, probe
from sia_tui.harness.workers import HarnessBroken, WorkerDied
from sia_tui.policy.client import GatewayDied, GatewayError
from sia_tui.store.lock import hold
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore
from sia_tui.tasks.registry import load_task
from sia_tui.tasks.task import Task, TaskError
from sia_tui.tasks.verifier import VerifierFailed, VerifierProcess

DONE, FAILED, WAITING, CUT_OFF = 0, 1, 3, 130
POLL_S = 0.3
MOST_DEATHS = 3
"""Of gateways, in the life of an engine."""

_EXPECTED = (
    EngineError,
    JobFailed,
    RepositoryError,
    SandboxUnavailable,
    EnvironmentFailed,
    HarnessBroken,
    WorkerDied,
    GatewayDied,
    GatewayError,
    VerifierFailed,
    TaskError,
    OSError,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How an engine is run, as against what it runs (that is the config)."""

    exit_at_gate: bool = False
    """Leave with WAITING at a gate that needs a person, instead of waiting there."""
    write: Callable[[str], None] = print


async def run_engine(workspace: Workspace, paths: RunPaths, config: RunConfig, options: Options) -> int:
    """Take the run as far as it goes; returns an exit code. Raises RunHeld, StoreError."""
    _log_to(paths.logs)
    with hold(paths.lock), RunStore(paths.db) as store:
        report = Reporter(store, options.write)
        try:
            async with _session(workspace, paths, config, store, report) as session:
                return await _Engine(session, options).run()
        except asyncio.CancelledError:
            report.say(f"engine stopped; go on with: sia-tui resume {paths.name}")
            return CUT_OFF
        except _EXPECTED as error:
            return _fail(store, report, paths, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run's log must end with it
            return _fail(store, report, paths, EngineError(f"unexpected {type(error).__name__}: {error}"))


def _fail(store: RunStore, report: Reporter, paths: RunPaths, error: BaseException) -> int:
    log.error("the run failed\n%s", traceback.format_exc())
    reason = str(error).strip() or type(error).__name__
    with suppress(Exception):
        store.record(ev.RunEnded("failed", reason))
    where = paths.logs / "engine.log"
    report.say(f"failed: {reason.splitlines()[0]} (details: {where}); go on with: sia-tui resume {paths.name}")
    return FAILED


@asynccontextmanager
async def _session(
    workspace: Workspace, paths: RunPaths, config: RunConfig, store: RunStore, report: Reporter
) -> AsyncIterator[Session]:
    report.phase("reading the task")
    task = await asyncio.to_thread(open_task, workspace, config, report.say)
    level = choose(config.harness.isolation, probe())
    gold = {case: label for case, label in task.gold.items() if task.cases[case].split != "test"}
    async with AsyncExitStack() as stack:
        verifier = await stack.enter_async_context(VerifierProcess(paths.root / "verifier", gold, task.labels))
        yield Session(
            workspace,
            paths,
            config,
            store,
            report,
            task,
            verifier,
            level,
            lambda: (
                store.state.status == "paused" or (store.state.stop_asked is not None and not store.state.test_opened)
            ),
            stack,
        )


def open_task(workspace: Workspace, config: RunConfig, say: Callable[[str], None]) -> Task:
    """The task as the config splits it; its data is fetched into the workspace on first use. Raises TaskError."""
    from sia_tui.tasks import lawbench

    settings = config.task
    folder = settings.data or workspace.root / "tasks" / settings.name
    if settings.data is None and settings.name == lawbench.NAME:
        folder = lawbench.fetch(workspace.folder("tasks"), say)
    return load_task(
        settings.name,
        Path(folder),
        seed=settings.seed,
        folds=settings.folds,
        dev=settings.dev,
        hidden=settings.hidden,
        limit=settings.limit,
    )


class _Engine:
    def __init__(self, session: Session, options: Options) -> None:
        self._session, self._options = session, options
        self._deaths = 0
        self._meter = Meter()
        to = session.config.mirror
        self._mirror = None if to == "none" else Mirror(session.paths, to)

    async def run(self) -> int:
        session = self._session
        session.record(ev.EngineStarted(os.getpid(), socket.gethostname(), session.level))
        for to in session.config.egress:
            session.report.say(f"{to.host}{' (this machine)' if to.local else ''} receives {to.what}")
        prepare.require_same_task(session)
        training.clear(session)
        await finish.unseal(session)
        self._meter.start()
        work, watch = asyncio.create_task(self._loop()), asyncio.create_task(self._watch())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            return await (work if work.done() else watch)
        finally:
            self._meter.stop()
            if self._mirror is not None:
                self._mirror.stop()
            work.cancel()
            watch.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    async def _loop(self) -> int:
        session = self._session
        while True:
            history.follow_log(session)
            remembering.keep_up(session)
            if session.state.status == "paused":
                if self._options.exit_at_gate:
                    return WAITING
                await self._idle("paused")
                continue
            action = loop.next_action(session.state, session.config.rules)
            if isinstance(action, loop.Ended):
                return DONE
            if isinstance(action, loop.AwaitVerdict) and session.config.gate.policy == "ask":
                if self._options.exit_at_gate:
                    return WAITING
                session.report.say(f"{action.gate} waits for a person; decide in another terminal: sia-tui pending")
                await self._idle(f"waiting at {action.gate}")
                continue
            try:
                await self._perform(action)
            except Interrupted:
                continue
            except GatewayDied as death:
                await self._bear(death)

    async def _bear(self, death: GatewayDied) -> None:
        """A gateway may be killed by the machine; one that dies again and again is a fault of the run."""
        self._deaths += 1
        if self._deaths > MOST_DEATHS:
            raise death
        log.error("the gateway died\n%s", death)
        self._session.report.say(f"{one_line(str(death), 300)}; starting it again, finished episodes are kept")
        await self._session.leave_place()

    async def _idle(self, why: str) -> None:
        """Until a command changes the state; the policy's GPUs are not kept for longer than the grace time."""
        before, since = self._session.state, time.monotonic()
        self._session.report.phase(why)
        while self._session.state is before:
            await asyncio.sleep(POLL_S)
            self._session.report.beat()
            if time.monotonic() - since > self._session.config.gate.release_s:
                await self._session.release()

    async def _watch(self) -> NoReturn:
        """Answers commands and tells what the machine does, while something long is under way."""
        stored = None
        while True:
            if (usage := self._meter.newest) is not None and usage is not stored:
                stored = usage
                self._session.store.machine(usage)
            if self._mirror is not None and (fault := self._mirror.fault()):
                self._session.report.say(fault)
            for said in heed(self._session.store):
                self._session.report.say(said)
            await asyncio.sleep(POLL_S)

    async def _perform(self, action: loop.Action) -> None:
        session, state = self._session, self._session.state
        match action:
            case loop.PrepareTask():
                await prepare.prepare_task(session)
            case loop.MeasureBaselines():
                await self._interruptible(prepare.measure_baselines(session))
            case loop.PreparePolicy():
                await self._interruptible(prepare.prepare_policy(session))
            case loop.WriteFirst():
                await self._interruptible(first.write(session))
            case loop.PlantSeed():
                if state.current is not None:
                    first.plant_written(session, state.current)
                else:
                    await prepare.plant_seed(session)
            case loop.Evaluate(generation=index, split=split):
                await self._evaluate(index, split)
            case loop.Propose():
                await self._interruptible(step.propose(session))
            case loop.Check(proposal=proposal):
                step.check(session, state.step(proposal))
            case loop.RunPreview(proposal=proposal):
                await self._preview(proposal)
            case loop.RunPilot(proposal=proposal):
                await pilot.pilot(session, state.step(proposal))
            case loop.Train(proposal=proposal):
                await training.train(session, state.step(proposal))
            case loop.OpenGate(proposal=proposal, kind=kind):
                step.open_gate(session, state.step(proposal), kind)
            case loop.AwaitVerdict():
                assert state.current is not None
                step.answer_by_policy(session, state.current)
            case loop.Refuse(proposal=proposal, by=by, reason=reason):
                session.record(ev.ProposalRefused(proposal, by, reason))
                if state.step(proposal).proposal.lever == "stop":
                    session.record(ev.RunPaused("the engine: the Feedback-Agent has nothing else to propose"))
            case loop.Apply(proposal=proposal):
                step.apply(session, state.step(proposal))
            case loop.Compare(proposal=proposal):
                evaluate.compare(session, state.step(proposal))
            case loop.Decide(generation=index, keep=keep, why=why):
                step.decide(session, index, keep, why)
            case loop.Finish(reason=reason, by=by):
                session.record(ev.StopAsked(reason, by, session.config.evaluate.open_test))
            case loop.OpenTest(generation=index):
                await finish.open_test(session, index)
            case loop.TestBaselines():
                await finish.test_baselines(session)
            case loop.End(status=status, reason=reason):
                session.record(ev.RunEnded(status, reason))

    async def _evaluate(self, index: int, split: Split) -> None:
        """A candidate whose code does not begin is rolled back; an incumbent's is a fault of the run."""
        try:
            await evaluate.evaluate(self._session, index, split)
        except HarnessBroken as broken:
            if self._session.state.generations[index].kept is not None:
                raise
            reason = one_line(f"the harness does not begin: {broken}", 1000)
            self._session.record(ev.GenerationRolledBack(index, reason))

    async def _preview(self, proposal: str) -> None:
        session = self._session
        try:
            await evaluate.preview(session, session.state.step(proposal))
        except HarnessBroken as broken:
            reason = one_line(f"the patched harness does not begin: {broken}", 1000)
            session.record(ev.ProposalRefused(proposal, "preview", reason))

    async def _interruptible(self, work: object) -> None:
        """Run a long job; pausing or stopping the run cancels it, and it starts over when the run goes on."""
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        while not task.done():
            await asyncio.wait({task}, timeout=POLL_S)
            self._session.report.beat()
            if self._session.interrupted():
                task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def cancel_on_signals() -> None:
    """SIGINT and SIGTERM end the engine in good order: what is finished is saved, children are stopped."""
    task, running = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        running.add_signal_handler(number, task.cancel)


def _log_to(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / "engine.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.getLogger("sia_tui").addHandler(handler)
    logging.getLogger("sia_tui").setLevel(logging.INFO)
