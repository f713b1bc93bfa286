"""Calls of agents' models, kept in the run's store: recorded as events, found again when a run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sia_tui.core import events as ev
from sia_tui.core.text import one_line
from sia_tui.engine.session import Session

if TYPE_CHECKING:
    from sia_tui.agents.llm.calls import Call


class StoredCalls:
    """The Calls protocol over a session; `step` is the number of the step in the making, 0 the first harness."""

    def __init__(self, session: Session, step: int) -> None:
        self._session, self._step = session, step

    def reply(self, id: str) -> bytes | None:
        return self._session.store.response(id)

    def keep(self, call: Call) -> None:
        self._session.store.record_call(call.event, self._step, call.sent, call.said, call.response)
        self._session.tell(call.event)

    def say(self, text: str) -> None:
        self._session.report.say(one_line(text, 400))

    def beat(self) -> None:
        self._session.report.beat()

    def failed(self, role: str, reason: str, instead: str) -> None:
        self._session.record(ev.AgentFailed(role, one_line(reason, 1000), instead))
