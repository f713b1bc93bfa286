"""The loop: ask the pure core what comes next, do it, record it, ask again. Killed at any moment, it goes on from its log."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sqlite3
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from shutil import disk_usage
from typing import NoReturn

from sia_tui.cluster.executor import ClusterError
from sia_tui.config import RunConfig
from sia_tui.core import events as ev
from sia_tui.core import loop
from sia_tui.core.room import DiskFull, no_room, unwritten
from sia_tui.core.text import one_line
from sia_tui.engine import finish, history, meantime, prepare, remembering, step, training
from sia_tui.engine.commands import heed
from sia_tui.engine.fitness import Unfit
from sia_tui.engine.hardware import gpus_given
from sia_tui.engine.hearing import hearing
from sia_tui.engine.jobs import JobFailed
from sia_tui.engine.leaving import Leaving
from sia_tui.engine.mirror import Mirror
from sia_tui.engine.notify import Notifier, called
from sia_tui.engine.opening import open_session
from sia_tui.engine.performing import perform
from sia_tui.engine.progress import Reporter
from sia_tui.engine.rollout import Interrupted
from sia_tui.engine.saved import what_is_saved
from sia_tui.engine.session import EngineError, Session
from sia_tui.harness.environment import EnvironmentFailed
from sia_tui.harness.repository import RepositoryError
from sia_tui.harness.sandbox import SandboxUnavailable
from sia_tui.harness.workers import HarnessBroken, WorkerDied
from sia_tui.policy.client import GatewayDied, GatewayError
from sia_tui.store import reserve
from sia_tui.store.lock import Hold, hold
from sia_tui.store.sharing import admit, group_id
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writable import require_writable
from sia_tui.store.writer import RunStore
from sia_tui.tasks.task import TaskError
from sia_tui.tasks.verifier import VerifierDied, VerifierFailed

DONE, FAILED, WAITING, CUT_OFF = 0, 1, 3, 130
POLL_S = 0.3
MOST_DEATHS = 3
"""Of gateways, and of verifiers, in the life of an engine."""
LEAST_BYTES = 1 << 20
"""Free on a run's disk; with less than that a failure is the disk's."""

EXPECTED = (
    ClusterError,
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


class FolderGone(Exception):
    """The run's folder is no longer where this engine holds it."""


@dataclass(frozen=True)
class Options:
    """How an engine is run, as against what it runs (that is the config)."""

    exit_at_gate: bool = False
    """Leave with WAITING at a gate that needs a person, instead of waiting there."""
    write: Callable[[str], None] = print
    leaving: Leaving = field(default_factory=Leaving)


async def run_engine(workspace: Workspace, paths: RunPaths, config: RunConfig, options: Options) -> int:
    """Take the run as far as it goes; returns an exit code. Raises RunHeld, StoreError."""
    try:
        _log_to(paths.logs)
        admit(workspace, paths, config.share.readers)
        if config.share.approvers is not None:
            # A run that never began is not to end failed over a name.
            group_id(config.share.approvers)
        with hold(paths.lock) as held, RunStore(paths.db) as store:
            # Its files are there only now.
            admit(workspace, paths, config.share.readers)
            reserve.keep(paths.reserve)
            return await _held(workspace, paths, config, store, held, Reporter(store, options.write), options)
    except (OSError, sqlite3.Error) as error:
        if not no_room(error):
            require_writable(paths, error)
            raise
        with suppress(OSError):
            options.write(f"{_full(paths, error)}; make some, then: sia-tui resume {paths.name}")
        return FAILED


async def _held(
    workspace: Workspace,
    paths: RunPaths,
    config: RunConfig,
    store: RunStore,
    held: Hold,
    report: Reporter,
    options: Options,
) -> int:
    notifier = called(paths, workspace, config, report)
    try:
        interrupted = partial(_interrupted, store, options.leaving)
        async with (
            hearing(paths, config.share),
            open_session(workspace, paths, config, store, report, interrupted) as session,
        ):
            code = await _Engine(session, held, options, notifier).run()
        return _told_cut_off(store, report, paths) if code == CUT_OFF else code
    except asyncio.CancelledError:
        return _told_cut_off(store, report, paths)
    except Exception as error:  # noqa: BLE001 - whatever it is, the run's log must end with it
        if not held.stands():
            return _told_gone(report, paths)
        if _is_full(paths, error):
            return _wait_for_room(store, report, paths, error)
        known = isinstance(error, EXPECTED)
        return _fail(
            store, report, paths, error if known else EngineError(f"unexpected {type(error).__name__}: {error}")
        )
    finally:
        if notifier is not None:
            notifier.stop()
            _tell_faults(notifier, report)


def _told_cut_off(store: RunStore, report: Reporter, paths: RunPaths) -> int:
    report.say(_joined("engine stopped", what_is_saved(store, paths), f"go on with: sia-tui resume {paths.name}"))
    return CUT_OFF


def _told_gone(report: Reporter, paths: RunPaths) -> int:
    """Nothing more is written: whoever comes to that place may have another engine there by now."""
    log.error("the folder is gone\n%s", traceback.format_exc())
    report.say(f"the run's folder was moved or deleted: {paths.root}; this engine ends, with all it started")
    return FAILED


def _tell_faults(notifier: Notifier, report: Reporter) -> None:
    for fault in notifier.faults():
        report.say(fault)


def _fail(store: RunStore, report: Reporter, paths: RunPaths, error: BaseException) -> int:
    log.error("the run failed\n%s", traceback.format_exc())
    reason = _joined(str(error).strip() or type(error).__name__, what_is_saved(store, paths))
    with suppress(Exception):
        store.record(ev.RunEnded("failed", reason))
    where = paths.logs / "engine.log"
    more = "" if isinstance(error, Unfit) else f" (details: {where}); go on with: sia-tui resume {paths.name}"
    report.say(f"failed: {reason.splitlines()[0]}{more}")
    return FAILED


def _wait_for_room(store: RunStore, report: Reporter, paths: RunPaths, error: Exception) -> int:
    """A full disk is for a person to empty: the run is paused, and whatever is whole is kept for when it goes on."""
    why = _joined(_full(paths, error), what_is_saved(store, paths), f"make some, then: sia-tui resume {paths.name}")
    reserve.release(paths.reserve)
    log.error("%s\n%s", why, traceback.format_exc())
    if store.state.status == "running":
        with suppress(sqlite3.Error):
            store.record(ev.RunPaused("the engine", why))
    with suppress(OSError):
        report.say(f"paused: {why}")
    return FAILED


def _is_full(paths: RunPaths, error: Exception) -> bool:
    """Not every error of a full disk says so: git cannot write a lock, a process does not begin."""
    # What harness code says of its own small scratch space is not the machine's disk.
    if no_room(error) and not isinstance(error, HarnessBroken | WorkerDied):
        return True
    with suppress(OSError):
        return disk_usage(paths.root).free < LEAST_BYTES
    return False


def _full(paths: RunPaths, error: Exception) -> str:
    return str(error) if isinstance(error, DiskFull) else unwritten(error, paths.root, disk_usage(paths.root).free)


def _joined(*said: str) -> str:
    return "; ".join(filter(None, said))


def _interrupted(store: RunStore, leaving: Leaving) -> bool:
    return (
        leaving.ending
        or store.state.status == "paused"
        or (store.state.stop_asked is not None and not store.state.test_opened)
    )


class _Engine:
    def __init__(self, session: Session, hold: Hold, options: Options, notifier: Notifier | None = None) -> None:
        self._session, self._hold, self._options = session, hold, options
        self._deaths: Counter[type] = Counter()
        to = session.config.mirror
        self._mirror = None if to == "none" else Mirror(session.paths, to)
        self._notifier = notifier

    async def run(self) -> int:
        session = self._session
        gpus = gpus_given(session.config.weights.device)
        session.record(ev.EngineStarted(os.getpid(), socket.gethostname(), session.level, gpus))
        for to in session.config.egress:
            session.report.say(to.told)
        prepare.require_consent(session)
        prepare.require_ray(session.config)
        training.clear(session)
        await finish.unseal(session)
        # A wish to resume that came with this engine is heard before it looks whether it may go on.
        self._heed()
        session.meter.start()
        work, watch = asyncio.create_task(self._loop()), asyncio.create_task(self._watch())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            return await (work if work.done() else watch)
        finally:
            session.meter.stop()
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
            if self._options.leaving.ending:
                return CUT_OFF
            if session.state.status == "paused":
                if self._options.exit_at_gate:
                    return WAITING
                await self._idle("paused")
                continue
            action = loop.next_action(session.state, session.config.rules)
            if isinstance(action, loop.Ended):
                return DONE
            if isinstance(action, loop.AwaitVerdict) and self._asks_a_person():
                if step.answer_by_contract(session):
                    continue
                if self._options.exit_at_gate:
                    return WAITING
                session.report.say(f"{action.gate} waits for a person; decide in another terminal: sia-tui pending")
                await self._idle(f"waiting at {action.gate}")
                continue
            try:
                await perform(session, action)
            except Interrupted:
                continue
            except (GatewayDied, VerifierDied) as death:
                await self._bear(death)

    async def _bear(self, death: GatewayDied | VerifierDied) -> None:
        """A part of ours may be killed by the machine; one that dies again and again is a fault of the run.

        Another one starts when it is next asked something. What it left unanswered or unjudged was not recorded, and so
        is done again.
        """
        self._deaths[type(death)] += 1
        if self._deaths[type(death)] > MOST_DEATHS:
            raise death
        log.error("a part died\n%s", death)
        self._session.report.say(f"{one_line(str(death), 300)}; starting it again, finished episodes are kept")
        if isinstance(death, GatewayDied):
            await self._session.leave_place()

    def _asks_a_person(self) -> bool:
        step = self._session.state.current
        return self._session.config.gate.policy == "ask" or (step is not None and step.held != "")

    async def _idle(self, why: str) -> None:
        """Until a command changes the state. For the grace time the policy is kept, and at a gate used to measure what may
        be measured meanwhile; the answer ends that at once."""
        session, before, since = self._session, self._session.state, time.monotonic()
        session.report.phase(why)
        async with meantime.Meanwhile(session, why) as measuring:
            while not self._options.leaving.ending and (session.state is before or measuring.undisturbed(before)):
                await asyncio.sleep(POLL_S)
                session.report.beat()
                measuring.look()
                if time.monotonic() - since > session.config.gate.release_s:
                    await measuring.end()
                    await session.release()

    async def _watch(self) -> NoReturn:
        """Answers commands and tells what the machine does, while something long is under way. Raises FolderGone."""
        stored = None
        while True:
            if not self._hold.stands():
                raise FolderGone
            if (usage := self._session.meter.newest) is not None and usage is not stored:
                stored = usage
                self._session.store.machine(replace(usage, **self._session.load))
            if self._mirror is not None and (fault := self._mirror.fault()):
                self._session.report.say(fault)
            if self._notifier is not None:
                _tell_faults(self._notifier, self._session.report)
            self._heed()
            self._heed_warning()
            await asyncio.sleep(POLL_S)

    def _heed_warning(self) -> None:
        """Before the machine is taken away: whoever starts the engine again need not have seen it go."""
        session, leaving = self._session, self._options.leaving
        if leaving.warned and session.state.status == "running":
            saved, more = (
                what_is_saved(session.store, session.paths),
                f"go on with: sia-tui resume {session.paths.name}",
            )
            session.record(
                ev.RunPaused("a warning signal", _joined("the machine is about to be taken away", saved, more))
            )
        leaving.warned = False

    def _heed(self) -> None:
        session = self._session
        for said in heed(session.store, session.paths, partial(step.fault, session), session.config.rules):
            session.report.say(said)


def cancel_on_signals() -> None:
    """SIGINT and SIGTERM end what measures beside a run: what is finished is saved, children are stopped."""
    task, running = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        running.add_signal_handler(number, task.cancel)


def _log_to(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # A line that a full disk does not take is lost, instead of a page on the terminal.
    logging.raiseExceptions = False
    handler = logging.FileHandler(folder / "engine.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.getLogger("sia_tui").addHandler(handler)
    logging.getLogger("sia_tui").setLevel(logging.INFO)
