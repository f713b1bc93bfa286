"""Measuring a run's generations anew, from what they are made of: by its engine, into its log, or beside it, in a place
and a log of its own. Stored episodes are never taken for an answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sia_tui.config import RunConfig
from sia_tui.core import events as ev
from sia_tui.core.episodes import Split
from sia_tui.core.hashing import digest
from sia_tui.core.state import State
from sia_tui.core.stats import estimate
from sia_tui.engine.evaluate import Drawn, run_cases, tool_share
from sia_tui.engine.opening import open_session
from sia_tui.engine.progress import Reporter
from sia_tui.engine.session import Session
from sia_tui.store.lock import hold_beside
from sia_tui.store.reader import EpisodeRow
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore


@dataclass(frozen=True)
class Wanted:
    """The harness of one generation with the weights of one, on a split, sampled by a seed."""

    harness: int
    weights: int
    split: Split
    seed: int
    anew: bool = False
    """Also where that was measured again before: each time is another one."""


@asynccontextmanager
async def beside(
    workspace: Workspace, run: RunPaths, config: RunConfig, state: State, write: Callable[[str], None]
) -> AsyncIterator[Session]:
    """A session for `measure`; an engine may be at work on the run meanwhile. Raises RunHeld, StoreError, EngineError."""
    paths = run.again
    paths.logs.mkdir(parents=True, exist_ok=True)
    with hold_beside(paths.lock), RunStore(paths.db) as store:
        if store.state.policy_ready is None:
            assert state.task_ready is not None and state.policy_ready is not None
            created = ev.RunCreated(state.run, state.task, state.config_hash)
            store.record(created, state.task_ready, state.policy_ready)
        report = Reporter(store, write)
        async with open_session(workspace, paths, config, store, report, lambda: False) as session:
            yield session


async def measure(session: Session, state: State, wanted: Wanted) -> ev.MeasuredAgain:
    """Goes on where it was broken off. Raises HarnessBroken, GatewayDied, VerifierFailed, EngineError."""
    made = [one for one in session.state.again if _fits(one, wanted)]
    if made and not wanted.anew:
        return made[0]
    harness, weights = state.generations[wanted.harness], state.generations[wanted.weights]
    assert wanted.split != "test", "test is opened once, at the end of a run"
    of = session.key(harness.tree, weights.adapter)
    key = digest(["again", of, wanted.split, wanted.seed, len(made)])
    cases = session.cases(wanted.split, getattr(session.config.evaluate, wanted.split))
    phase = f"{told(wanted)} on {wanted.split} again, seed {wanted.seed}"
    await run_cases(session, harness.commit, key, weights.adapter, cases, phase, drawn=Drawn(of, wanted.seed))
    rows = session.reader.episodes(key, wanted.split)
    found = estimate([row.reward for row in rows])
    values = (found.mean, found.lo, found.hi, found.n, tool_share(rows))
    differing = _differing(session, harness.key, rows) if wanted.harness == wanted.weights else None
    done = ev.MeasuredAgain(key, wanted.harness, wanted.weights, wanted.split, wanted.seed, *values, differing)
    session.record(done)
    return done


def told(wanted: Wanted) -> str:
    if wanted.harness == wanted.weights:
        return f"g{wanted.harness}"
    return f"the harness of g{wanted.harness} with the weights of g{wanted.weights}"


def _differing(session: Session, key: str, rows: Sequence[EpisodeRow]) -> int | None:
    """Cases answered otherwise than by the generation with this key; None beside a run, whose episodes are elsewhere."""
    first = {row.case_id: row.answer for row in session.reader.episodes(key)}
    if not all(row.case_id in first for row in rows):
        return None
    return sum(row.answer != first[row.case_id] for row in rows)


def _fits(made: ev.MeasuredAgain, wanted: Wanted) -> bool:
    return (made.harness, made.weights, made.split, made.seed) == (
        wanted.harness,
        wanted.weights,
        wanted.split,
        wanted.seed,
    )
