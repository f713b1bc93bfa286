"""Looks at every episode as it is stored, and puts on record what should not be there."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sia_tui.core import events as ev
from sia_tui.core.alarms import alarms_in
from sia_tui.core.episodes import Attempt
from sia_tui.core.text import one_line
from sia_tui.engine.crew import Crew
from sia_tui.engine.session import Session

OPENED = "the planted answer key was opened (nothing honest does; a search through the workspace's rows would too)"


@dataclass(frozen=True)
class Lookout:
    """Over the episodes of one crew, which are stored under one key. As a context manager around the crew it looks once more
    when that is left: what was opened on other machines may be known only then."""

    session: Session
    crew: Crew
    key: str
    proposal: str | None = None
    """Whose patch or training is at work; None: the incumbent's."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.see_key()

    def see(self, attempt: Attempt) -> None:
        for kind, detail in alarms_in(attempt, self.session.canary):
            self._raise(kind, f"{detail} ({attempt.case.split} case {attempt.case.id})")
        self.see_key()

    def see_key(self) -> None:
        if self.crew.key_seen():
            self._raise("canary", OPENED)

    def _raise(self, kind: ev.AlarmKind, detail: str) -> None:
        """Once for each kind and key. Of the incumbent the planted key is a person's matter: the run is paused."""
        alarms = self.session.state.alarms
        if any(alarm.kind == kind and alarm.key == self.key for alarm in alarms):
            return
        self.session.record(ev.Alarmed(kind, self.key, one_line(detail, 300), self.proposal))
        if kind == "canary" and self.proposal is None:
            self.session.record(ev.RunPaused("the engine", f"{one_line(detail, 300)}: look at the incumbent's harness"))
