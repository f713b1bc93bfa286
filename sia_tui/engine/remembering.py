"""What a run remembers, and what it is told of other runs: an aid, so that a fault of it never fails the run."""

from __future__ import annotations

from sia_tui.core.forecast import TrackRecord, track
from sia_tui.core.proposals import Proposal
from sia_tui.core.recall import Idea, Memory, recall
from sia_tui.core.state import blind
from sia_tui.engine.session import Session
from sia_tui.store.memory import Edits, edits, learned, remember
from sia_tui.store.version import StoreError


def keep_up(session: Session) -> None:
    """Write down what the run has taught, where that is more than was written last."""
    now = recall(blind(session.state))
    if now == session.remembered:
        return
    session.remembered = now
    try:
        remember(session.workspace.db, session.state)
    except StoreError as fault:
        session.report.say(f"not remembered: {fault}; try again with: sia-tui memory {session.task.name} --rebuild")


def memory(session: Session) -> Memory:
    """What this run taught and what people noted; with `agents.memory: task` what other runs taught on the same split
    too: on another one, their dev cases may be this run's hidden ones. Less what people struck out."""
    mine, others, told = recall(blind(session.state)), carried(session), _edits(session)
    return mine.joined(others).joined(told.notes).without(told.struck)


def carried(session: Session) -> Memory:
    """What other runs taught, as far as this run's config and people want it told."""
    state, task = session.state, session.task.name
    if session.config.agents.memory == "run" or state.task_ready is None:
        return Memory(task)
    try:
        others = learned(session.workspace.db, task, state.task_ready.split_hash, but=state.run)
    except StoreError as fault:
        session.report.say(f"other runs are not remembered: {fault}")
        return Memory(task)
    return others.without(_edits(session).struck)


def tried_elsewhere(session: Session) -> tuple[Idea, ...] | None:
    """Ideas of other runs; None where they are not to be looked at."""
    return None if session.config.agents.memory == "run" else carried(session).ideas


def record_of(session: Session, proposal: Proposal) -> TrackRecord | None:
    """How the predictions of its agent for its lever have held; to stop, or to begin, predicts nothing."""
    if proposal.lever == "stop" or proposal.first:
        return None
    return track(memory(session).forecasts, proposal.agent, proposal.lever, session.task.name)


def _edits(session: Session) -> Edits:
    try:
        return edits(session.workspace.db, session.task.name)
    except StoreError as fault:
        session.report.say(f"notes are not read: {fault}")
        return Edits(Memory(session.task.name), frozenset())
