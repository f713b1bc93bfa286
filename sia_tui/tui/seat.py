"""This window among those that are open on a run: it says that it is there, and knows who leads."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from sia_tui.store.windows import Open, forget_killed, forget_window, note_window, open_windows
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.company import Company, company
from sia_tui.tui.follower import Follower

EVERY_S = 1.0


class Seat(Follower):
    """A window that opens leads, unless it only reads or another person leads already."""

    def __init__(self, paths: RunPaths, user: str, read_only: bool) -> None:
        super().__init__(f"seat {paths.name}")
        self._paths, self._name = paths, uuid.uuid4().hex[:12]
        self._user, self._read_only, self._led = user, read_only, ""
        self._one = threading.Lock()
        """Whoever takes the lead while others are looked at has it."""
        self.pane = ""
        """That this window shows."""
        self.company = Company()

    @property
    def part(self) -> Literal["leading", "watching"]:
        return "leading" if not self._read_only and self.company.lead == self._user else "watching"

    @property
    def leader(self) -> str:
        """Who leads in this window's place; empty where it may decide."""
        return "" if self.part == "leading" else self.company.lead

    def lead(self) -> None:
        """Take the lead from whoever has it."""
        with self._one:
            self._led = _now()
            self.company = replace(self.company, lead=self._user)

    def stop(self) -> None:
        super().stop()
        forget_window(self._paths, self._name)

    def look(self) -> None:
        """Say that this window is there, and who else is."""
        now = time.time()
        with suppress(OSError):
            note_window(self._paths, self._name, self._me)
            # The clock of whoever keeps these files, which need not be this machine's.
            now = (self._paths.windows / self._name).stat().st_mtime
        others = [one for name, one in open_windows(self._paths, now).items() if name != self._name]
        with self._one:
            if not (self._read_only or self._led) and company(others).lead in ("", self._user):
                self._led = _now()
            found = company([*others, self._me])
            if found != self.company:
                self.company = found

    @property
    def _me(self) -> Open:
        return Open(self._user, self._read_only, self._led, self.pane)

    def _follow(self) -> None:
        forget_killed(self._paths, time.time())
        while not self._over.is_set():
            self.look()
            self._over.wait(EVERY_S)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
