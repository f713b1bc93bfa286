"""The part of the window that knows who else has the run open: who leads, who watches, and what the leader looks at."""

from __future__ import annotations

from textual.app import App
from textual.widgets import Input

from sia_tui.core.text import one_line
from sia_tui.tui.heading import Piece
from sia_tui.tui.keymap import shown_key
from sia_tui.tui.manners import READ_ONLY, Manners
from sia_tui.tui.panes import PANES
from sia_tui.tui.seat import Seat


class Together(App[None]):
    """Only display and manners: whoever may write to a run may answer it from another window or by a verb, and the first
    answer counts."""

    _manners: Manners
    _seat: Seat | None
    _led_by = ""
    _follows = False
    _led_to = ""
    """The pane that this window shows because it follows."""

    @property
    def _covered(self) -> bool:
        raise NotImplementedError

    @property
    def refusal(self) -> str:
        """Why this window decides nothing now; empty where it may."""
        if self._manners.read_only:
            return READ_ONLY
        leader = self._seat.leader if self._seat is not None else ""
        return f"{one_line(leader, 40)} leads this run: {shown_key(self, 'app.lead')} takes the lead" if leader else ""

    def action_lead(self) -> None:
        if self._manners.read_only or self._seat is None:
            self.notify(READ_ONLY, severity="error")
        elif self._seat.part == "leading":
            self.notify("you lead already")
        else:
            self._seat.lead()
            self._alone()
            self._led_by = self._seat.company.lead
            self.notify("you lead now; the others are told")

    def action_follow_lead(self) -> None:
        if self._follows:
            self._follows = False
            self.notify("no longer following")
        elif self._seat is None or not self._seat.leader:
            self.notify("nobody else leads this run: there is no pane to follow", severity="warning")
        else:
            self._follows, self._led_to = True, ""
            self.notify("this window shows the pane that the leader looks at")

    def _part(self, pane: str) -> None:
        """Whoever goes to another pane than the leader's follows no longer."""
        if self._follows and pane != self._led_to:
            self._follows = False
            self.notify(f"no longer following: {shown_key(self, 'app.follow-lead')} follows again", markup=False)

    def _alone(self) -> None:
        """Another run has other leaders."""
        self._follows, self._led_to, self._led_by = False, "", ""

    def _accompany(self, here: str) -> str:
        """Say where this window is. Returns the pane that it should show, which is another one while it follows."""
        if self._seat is None:
            return here
        self._seat.pane = here
        found, before = self._seat.company, self._led_by
        self._led_by = found.lead
        if before and found.lead and found.lead != before and self._seat.part == "watching":
            said = f"{one_line(found.lead, 40)} leads now; {shown_key(self, 'app.lead')} takes it back"
            self.notify(said, severity="warning", markup=False)
        # It is another's word, and home is no pane on the run; nor is anybody led out of what they type.
        busy = self._covered or isinstance(self.focused, Input)
        if self._follows and self._seat.leader and found.pane in PANES and not busy:
            self._led_to = found.pane
            return found.pane
        return here

    def _company(self) -> list[Piece]:
        """For the window's first line; nothing where nobody else is there."""
        seat = self._seat
        if seat is None or (seat.part == "leading" and not seat.company.watching):
            return []
        if seat.part == "leading":
            return [(f"leading · {one_line(', '.join(seat.company.watching), 40)} watching │ ", "bold")]
        lead = f" · {one_line(seat.leader, 40)} leads" if seat.leader else ""
        return [(f"watching{lead} │ ", "bold $text-warning")]
