"""The part of the gate that holds what a person decides, and sends it when its time has come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from textual.containers import Vertical

from sia_tui.core.hashing import digest
from sia_tui.core.text import one_line
from sia_tui.store.reader import Answer
from sia_tui.tui.asked import Question
from sia_tui.tui.keymap import shown_key
from sia_tui.tui.pieces import Line
from sia_tui.tui.verdicts import DONE, Held, Kind, Verdicts
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.widgets.verdict_bar import VerdictBar
from sia_tui.tui.window import window


class HoldingPane(Vertical):
    """What is on show is the gate's."""

    verdicts: Verdicts
    _asked: Question | None
    _said: Sequence[Line]
    """The decision, its grounds and the plan, as they are laid out."""

    _sending: asyncio.Future[Answer] | None = None
    """The last verdict, on its way."""

    @property
    def _bar(self) -> VerdictBar:
        return self.query_one(VerdictBar)

    async def on_unmount(self) -> None:
        """Nobody is left to take it back: what is held is sent before the window is gone, and what was sent is answered."""
        if held := self.verdicts.flush():
            self._sending = self._send(held)
        if self._sending is not None and not self._sending.done():
            window(self).parted = await self._sending

    def action_take_back(self) -> None:
        self._bar.say(self.verdicts.take_back())

    def _hold(
        self,
        kind: Kind,
        note: str = "",
        about: str | None = None,
        more: Mapping[str, Any] | None = None,
        what: str = "",
    ) -> None:
        refused = self.verdicts.hold(kind, note, about, {**(more or {}), "seen": self._seen()}, what)
        self._bar.say(refused) if refused else self._count_down()

    def _seen(self) -> str:
        """Digest of what is laid out here, and of the patch."""
        if (asked := self._asked) is None:
            return ""
        return digest([*(str(content(line)) for line in self._said), asked.patch or ""])

    def _pass_time(self) -> None:
        if held := self.verdicts.due():
            self._bar.say(f"{held.kind} of {held.gate} sent; waiting for the answer")
            self._sending = self._send(held)
            self._sending.add_done_callback(self._heard)
        elif self.verdicts.held is not None:
            self._count_down()

    def _count_down(self) -> None:
        held = self.verdicts.held
        if held is not None:
            back = shown_key(self, "gate.take-back")
            what = f"· {one_line(held.what, 300)} " if held.what else ""
            said = f" {DONE[held.kind]} {held.gate}: sent in {self.verdicts.left:.0f} s · {back} takes it back {what}"
            self._bar.say(said, loud=True)

    def _send(self, held: Held) -> asyncio.Future[Answer]:
        """By a thread of its own: the others may all be reading."""
        courier = ThreadPoolExecutor(1, "verdict")
        sent = courier.submit(window(self).ask_now, held.kind, held.body)
        courier.shutdown(wait=False)
        return asyncio.wrap_future(sent)

    def _heard(self, sending: asyncio.Future[Answer]) -> None:
        if self.is_attached and not sending.cancelled():
            answer = sending.result()
            window(self).say(answer.message, answer.ok)
            self._answered(answer)

    def _answered(self, answer: Answer) -> None:
        self.verdicts.answered(answer.ok)
        self._bar.say(one_line(answer.message, 300), loud=not answer.ok)
