"""The Feedback-Agent as a language model: it starts from a page of evidence, reads what it wants, answers with a proposal."""

from __future__ import annotations

from dataclasses import replace

from sia_tui.agents.llm import answers
from sia_tui.agents.llm.answers import Proposed
from sia_tui.agents.llm.asking import NoAnswer, ask
from sia_tui.agents.llm.calls import Calls
from sia_tui.agents.llm.evidence import gather, page
from sia_tui.agents.llm.roles import Role
from sia_tui.agents.llm.tools import Reader
from sia_tui.agents.protocol import FeedbackAgent, Record
from sia_tui.core.proposals import Proposal
from sia_tui.core.text import one_line

FLAGS = 8


class ModelFeedbackAgent:
    """`instead` proposes where the model has no valid answer; without one the run is asked to stop."""

    def __init__(self, role: Role, calls: Calls, instead: FeedbackAgent | None) -> None:
        self._role, self._calls, self._instead = role, calls, instead

    async def propose(self, record: Record) -> Proposal:
        try:
            return await self._asked(record)
        except NoAnswer as reason:
            self._calls.failed(
                "feedback", str(reason), "the playbook proposes" if self._instead else "the run asks to stop"
            )
            return await self._instead.propose(record) if self._instead else _stop(record, str(reason))

    async def _asked(self, record: Record) -> Proposal:
        evidence, best = gather(record), record.state.best
        assert best is not None
        commit = best.commit

        def accept(said: Proposed) -> Proposal:
            brief = record.brief
            made = answers.proposal(
                said, record.files, brief.surface, brief.offered, brief.levers, commit, evidence.ids, brief.command
            )
            counts = {kind: len(found) for kind, found in evidence.kinds.items()}
            flagged = tuple(f"{episode}: {text}" for episode, text in list(evidence.flagged.items())[:FLAGS])
            return replace(made, clusters=counts, flagged=flagged, agent=self._role.model)

        made: Proposal = await ask(
            "feedback",
            self._role,
            self._calls,
            ("feedback", "program" if record.brief.command else "contract"),
            page(record, evidence),
            Proposed,
            accept,
            Reader(record, evidence).tools,
        )
        return made


def _stop(record: Record, reason: str) -> Proposal:
    best = record.state.best
    assert best is not None
    return Proposal(
        lever="stop",
        title="the Feedback-Agent's model has no proposal",
        reason=one_line(reason, 1000),
        idea="no-answer",
        base_commit=best.commit,
    )
