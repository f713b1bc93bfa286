"""Harnesses that are only tried: what an agent runs before it proposes. In the sandbox, on train cases, folds respected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sia_tui.agents.protocol import Declined, Reading
from sia_tui.core.episodes import Case
from sia_tui.core.hashing import short_id
from sia_tui.core.text import one_line
from sia_tui.engine.evaluate import run_cases
from sia_tui.engine.session import Session
from sia_tui.harness.repository import RepositoryError
from sia_tui.harness.workers import HarnessBroken


async def try_files(
    session: Session, base: str, files: Mapping[str, str], adapter: str | None, cases: Sequence[Case], phase: str
) -> list[Reading]:
    """One episode a case, by a package of exactly these files. Raises Declined when it does not begin."""
    repository, package = session.repository, session.package
    try:
        tree = repository.tree_of(base, package, files)
        key = session.key(repository.subtree(tree, package), adapter)
        await run_cases(session, tree, key, adapter, cases, phase)
    except HarnessBroken as broken:
        trace = broken.error.traceback or broken.error.message
        raise Declined(f"the harness does not begin ({broken.stage}): {trace}") from None
    except (RepositoryError, UnicodeError) as fault:
        raise Declined(one_line(str(fault), 500)) from None
    made = []
    for case in cases:
        episode = short_id("e", [key, case.id, 0])
        found = session.reader.trajectory(episode)
        assert found is not None
        made.append(Reading(episode, *found))
    return made
