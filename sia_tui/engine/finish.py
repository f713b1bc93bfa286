"""The end of a run: test is opened once, for the generation that is the incumbent then, and printed whatever it is."""

from __future__ import annotations

from sia_tui.core import events as ev
from sia_tui.engine.prepare import baseline_scores
from sia_tui.engine.session import Session
from sia_tui.store.openings import record_opening


async def open_test(session: Session, generation: int) -> None:
    """On record in the workspace and in the log before a single test label can be scored."""
    task = session.task
    before = record_opening(session.workspace.db, session.state.run, task.test_hash)
    session.record(ev.TestOpened(generation, task.test_hash, before))
    await unseal(session)


async def unseal(session: Session) -> None:
    """Give the verifier the test gold, if the log says that test is open."""
    if session.state.test_opened is not None:
        await session.verifier.open_test({case: session.task.gold[case] for case in session.task.ids("test")})


async def test_baselines(session: Session) -> None:
    session.record(ev.BaselinesTested(await baseline_scores(session, "test", session.config.evaluate.test)))
