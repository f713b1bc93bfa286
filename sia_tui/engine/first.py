"""The first harness, written by the Meta-Agent's model: tried on two train cases, then a question to a person like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sia_tui.agents import make_meta_agent
from sia_tui.agents.protocol import Reading, Solved
from sia_tui.core import events as ev
from sia_tui.core.diffs import patch
from sia_tui.core.proposals import Proposal
from sia_tui.core.state import Step
from sia_tui.engine.calls import StoredCalls
from sia_tui.engine.prepare import plant
from sia_tui.engine.rollout import first_of
from sia_tui.engine.session import Session
from sia_tui.engine.step import brief_of
from sia_tui.engine.trying import try_files
from sia_tui.harness.repository import HarnessRepository

SMOKED = 2
SAMPLES = 6


@dataclass(frozen=True)
class Bench:
    """The Workbench protocol over a session."""

    session: Session
    base: str

    @property
    def samples(self) -> Sequence[Solved]:
        """Train cases that no generation is measured on, where there are any to spare."""
        task, config = self.session.task, self.session.config
        train = self.session.cases("train", None)
        spare = train[config.evaluate.train or 0 :] or train
        return [Solved(case.id, case.inputs, task.gold[case.id]) for case in spare[:SAMPLES]]

    async def smoke(self, files: Mapping[str, str]) -> list[Reading]:
        cases = first_of([case for case in self.session.cases("train", None)], SMOKED, self.session.config.seed)
        return await try_files(self.session, self.base, files, None, cases, "trying the first harness")


async def write(session: Session) -> None:
    """Have it written. Where the model has no valid answer the house's is planted, and nobody is asked."""
    repository, base = HarnessRepository.plant(
        session.workspace.harness_repository, session.package, session.seed_files
    )
    seed = repository.files(base, session.package)
    session.report.phase("the Meta-Agent writes the first harness")
    meta = make_meta_agent(session.config.agents.meta, StoredCalls(session, 0))
    written = await meta.first_harness(brief_of(session), seed, Bench(session, base))
    if dict(written.files) == seed:
        return plant(session, base, seed, None)
    surface = session.config.harness.surface
    pinned = {path: text for path, text in seed.items() if not any(Path(path).match(glob) for glob in surface)}
    made = Proposal(
        lever="harness",
        title="the first harness, written by the Meta-Agent",
        reason=written.note,
        idea="first-harness",
        base_commit=base,
        patch=patch(seed, {**pinned, **written.files}),
        agent=written.agent,
        first=True,
    )
    session.record(ev.ProposalMade(made.id_at(session.state.run, 0), made))


def plant_written(session: Session, step: Step) -> None:
    """A person said yes: it is generation 0."""
    assert step.commit is not None
    files = session.repository.files(step.commit, session.package)
    plant(session, step.proposal.base_commit, files, step.id)
