"""What the loop asks for, carried out: each action is quick and repeatable, or made of episodes stored one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from sia_tui.core import events as ev
from sia_tui.core import loop
from sia_tui.core.episodes import Split
from sia_tui.core.meantime import Attribute, Gather, Trace
from sia_tui.core.text import one_line
from sia_tui.engine import evaluate, finish, first, meantime, pilot, prepare, step, training
from sia_tui.engine.fitness import Unfit, refusal
from sia_tui.engine.leaving import called_off
from sia_tui.engine.session import Session
from sia_tui.harness.workers import HarnessBroken

POLL_S = 0.3


async def perform(session: Session, action: loop.Action) -> None:
    """Raises Interrupted where the run is paused or stopped meanwhile."""
    state = session.state
    match action:
        case loop.PrepareTask() | loop.CheckEvaluator() | loop.MeasureBaselines() | loop.PreparePolicy():
            await _make_ready(session, action)
        case loop.RefuseEvaluator():
            raise Unfit(refusal(state.unfit, state.run))
        case loop.WriteFirst():
            await _interruptible(session, first.write(session))
        case loop.PlantSeed():
            await _plant(session)
        case loop.Evaluate(generation=index, split=split):
            await _evaluate(session, index, split)
        case loop.Propose():
            await _interruptible(session, step.propose(session))
        case loop.Check(proposal=proposal):
            step.check(session, state.step(proposal))
        case loop.RunPreview(proposal=proposal):
            await _preview(session, proposal)
        case loop.RunPilot(proposal=proposal):
            await pilot.pilot(session, state.step(proposal))
        case Gather() | Attribute() | Trace():
            await meantime.perform(session, action)
        case loop.AskCritic(proposal=proposal):
            await _interruptible(session, step.review(session, state.step(proposal)))
        case loop.Train(proposal=proposal):
            await training.train(session, state.step(proposal))
        case loop.OpenGate(proposal=proposal, kind=kind):
            step.open_gate(session, state.step(proposal), kind)
        case loop.AwaitVerdict():
            assert state.current is not None
            step.answer_by_policy(session, state.current)
        case loop.Refuse(proposal=proposal, by=by, reason=reason):
            step.refuse(session, state.step(proposal), by, reason)
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


async def _make_ready(session: Session, action: loop.Action) -> None:
    match action:
        case loop.PrepareTask():
            await prepare.prepare_task(session)
        case loop.CheckEvaluator():
            await _interruptible(session, prepare.check_evaluator(session))
        case loop.MeasureBaselines():
            await _interruptible(session, prepare.measure_baselines(session))
        case loop.PreparePolicy():
            await _interruptible(session, prepare.prepare_policy(session))


async def _plant(session: Session) -> None:
    if session.state.current is not None:
        first.plant_written(session, session.state.current)
    else:
        await prepare.plant_seed(session)


async def _evaluate(session: Session, index: int, split: Split) -> None:
    """A candidate whose code does not begin is rolled back; an incumbent's is a fault of the run."""
    try:
        await evaluate.evaluate(session, index, split)
    except HarnessBroken as broken:
        if session.state.generations[index].kept is not None:
            raise
        reason = one_line(f"the harness does not begin: {broken}", 1000)
        session.record(ev.GenerationRolledBack(index, reason))


async def _preview(session: Session, proposal: str) -> None:
    try:
        await evaluate.preview(session, session.state.step(proposal))
    except HarnessBroken as broken:
        reason = one_line(f"the patched harness does not begin: {broken}", 1000)
        session.record(ev.ProposalRefused(proposal, "preview", reason))


async def _interruptible(session: Session, work: Coroutine[Any, Any, object]) -> None:
    """Run a long job; pausing or stopping the run cancels it, and it starts over when the run goes on."""
    task = asyncio.create_task(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=POLL_S)
            session.report.beat()
            if session.interrupted():
                task.cancel()
    finally:
        await called_off(task)
