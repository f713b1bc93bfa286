"""The part of the window that knows who else has the run open: who leads, who watches, and what the leader looks at."""

from __future__ import annotations

from textual.app import App

from sia_tui.core.text import one_line
from sia_tui.tui.heading import Piece
from sia_tui.tui.manners import READ_ONLY, Manners
from sia_tui.tui.seat import Seat


class Together(App[None]):
    """Only display and manners: whoever may write to a run may answer it from another window or by a verb, and the first
    answer counts."""

    _manners: Manners
    _seat: Seat | None
    _led_by = ""
    _follows = False

    @property
    def refusal(self) -> str:
        """Why this window decides nothing now; empty where it may."""
        if self._manners.read_only:
            return READ_ONLY
        leader = self._seat.leader if self._seat is not None else ""
        return f"{one_line(leader, 40)} leads this run: L takes the lead" if leader else ""

    def action_lead(self) -> None:
        if self._manners.read_only or self._seat is None:
            self.notify(READ_ONLY, severity="error")
        elif self._seat.part == "leading":
            self.notify("you lead already")
        else:
            self._seat.lead()
            self._led_by = self._seat.company.lead
            self.notify("you lead now; the others are told")

    def action_follow_lead(self) -> None:
        self._follows = not self._follows
        self.notify("this window shows the pane that the leader looks at" if self._follows else "no longer following")

    def _accompany(self, here: str) -> str:
        """Say where this window is. Returns the pane that it should show, which is another one while it follows."""
        if self._seat is None:
            return here
        self._seat.pane = here
        found, before = self._seat.company, self._led_by
        self._led_by = found.lead
        if before and found.lead and found.lead != before and self._seat.part == "watching":
            self.notify(f"{one_line(found.lead, 40)} leads now; L takes it back", severity="warning", markup=False)
        return found.pane if self._follows and self._seat.leader and found.pane else here

    def _company(self) -> list[Piece]:
        """For the window's first line; nothing where nobody else is there."""
        seat = self._seat
        if seat is None or (seat.part == "leading" and not seat.company.watching):
            return []
        if seat.part == "leading":
            return [(f"leading · {one_line(', '.join(seat.company.watching), 40)} watching │ ", "bold")]
        lead = f" · {one_line(seat.leader, 40)} leads" if seat.leader else ""
        return [(f"watching{lead} │ ", "bold $text-warning")]
