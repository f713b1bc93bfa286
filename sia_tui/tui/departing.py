"""The part of the window that is left: what is not sent yet, and which engines go on and will ask whoever leaves."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, cast

from sia_tui.core.contract import made
from sia_tui.core.text import one_line
from sia_tui.store.asked import is_anothers
from sia_tui.store.reader import Answer
from sia_tui.tui.heading import will_ask
from sia_tui.tui.keymap import name_bindings, shown_key
from sia_tui.tui.panes import Panes
from sia_tui.tui.screens.leaving import Leaving, Parting
from sia_tui.tui.shelf import Shelf
from sia_tui.tui.steering import Steering
from sia_tui.tui.verdicts import Held
from sia_tui.tui.view import View
from sia_tui.tui.workplace import Workplace

if TYPE_CHECKING:
    from sia_tui.tui.screens.gate import GatePane


class Departing(Panes, Steering):
    """Nobody leaves by accident a verdict that is held, or a run that will wait for them all night."""

    place: Workplace | None
    parted: Answer | None = None
    """The answer to what was sent by leaving."""
    _shelf: Shelf | None
    _leaving: Held | None = None
    """Of which verdict the person was told that leaving sends it."""

    async def open_run(self, name: str) -> None:
        raise NotImplementedError

    @property
    def _held(self) -> Held | None:
        """The verdict that may still be taken back."""
        gate = self._pane("gate")
        return cast("GatePane", gate).verdicts.held if gate is not None else None

    def _held_back(self) -> bool:
        """Whether a verdict is not sent yet: it would go to another run's engine."""
        held = self._held
        if held is not None:
            self.say(f"the {held.kind} of {held.gate} is not sent yet: wait for it, or take it back", False)
        return held is not None

    def action_leave(self) -> None:
        """To home when the window was opened there, else out."""
        if self.here != self._begins_at == "home":
            self.action_pane("home")
        elif self._held is None and (left := self._left_alone()):
            self.push_screen(Leaving(left), partial(self._left, left[0]))
        else:
            self.call_later(self.action_quit)

    async def action_quit(self) -> None:
        """Leave; a verdict that is still held is asked about first."""
        held = self._held
        if held is not None and held is not self._leaving:
            self._leaving = held
            leave = shown_key(self, "app.leave")
            said = f"the {held.kind} of {held.gate} is not sent yet: take it back, or {leave} sends it now and leaves"
            self.notify(said, severity="warning", markup=False, timeout=10)
            return
        self.exit()

    def _left_alone(self) -> list[View]:
        """Runs of the person that will ask them: those that wait first. At home all of the workspace, else the open one."""
        opened = [self.view] if self._feed is not None and not self.refusal else []
        shelved = self._shelf.views if self._shelf is not None and self.here == "home" else ()
        others = [view for view in shelved if view.run != self.view.run and not self._manners.read_only]
        found = [view for view in (*opened, *others) if will_ask(view) and self._is_own(view.run)]
        return sorted(found, key=lambda view: view.state.waiting is None)

    def _is_own(self, run: str) -> bool:
        with suppress(OSError):
            paths = self.place.workspace.run(run) if self.place is not None else self.paths
            return not is_anothers(paths)
        return False

    async def _left(self, first: View, how: Parting | None) -> None:
        if how == "leave":
            self.call_later(self.action_quit)
        elif how == "until" and self.may_steer(first.run):
            if self.view.run != first.run:
                await self.open_run(first.run)
            if self.view.run != first.run:
                return
            if first.state.waiting is None:
                self._ask_beforehand(first.run)
            else:
                self._go("gate", lambda gate: gate.offer_until())

    def _ask_beforehand(self, run: str) -> None:
        from sia_tui.tui.screens.limits import limits

        def saved(values: Mapping[str, str] | None) -> None:
            if values is not None:
                self.ask_later("contract", {"contract": asdict(made(values))})

        name_bindings()
        self.push_screen(limits(f"what {one_line(run, 40)} will ask: approve until …", "what will be asked: "), saved)
