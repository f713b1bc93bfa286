"""What stands between a key and a verdict: time to see what is asked, and time to take the answer back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sia_tui.core.gates import Gate, changes
from sia_tui.core.text import one_line

SETTLE_S = 0.5
"""Keys pressed so soon after a question came into sight were meant for something else."""
UNDO_S = 5.0
"""A verdict is held so long before it is sent: nothing is spent, and it can be taken back."""
ANSWER_S = 20.0
"""A verdict that was sent and changed nothing for so long may be given again."""

Kind = Literal["approve", "reject", "amend", "more-evidence", "contract"]
DONE: dict[Kind, str] = {
    "approve": "approved",
    "reject": "rejected",
    "amend": "amended",
    "more-evidence": "asked more about",
    "contract": "approved, with what comes after,",
}


@dataclass(frozen=True)
class Held:
    """A verdict about exactly what was on the screen."""

    kind: Kind
    gate: str
    hash: str
    note: str
    due: float
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else the command says."""
    what: str = ""
    """What of it is said to the person beside its kind: what was changed, or that a reason is missing."""

    @property
    def body(self) -> dict[str, Any]:
        return {"gate": self.gate, "hash": self.hash, "note": self.note, **self.more}


class Verdicts:
    """Follows the gate on the screen and holds at most one verdict on it. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._gate: Gate | None = None
        self._since = 0.0
        self._sent: tuple[Held, float] | None = None
        self.held: Held | None = None

    @property
    def gate(self) -> Gate | None:
        """The gate that a verdict would be about."""
        return self._gate

    @property
    def left(self) -> float:
        """Seconds until the held verdict is sent."""
        return max(0.0, self.held.due - self._clock()) if self.held else 0.0

    def look(self, gate: Gate | None, in_sight: bool = True) -> str | None:
        """This is on the screen now, or under what lies over it. Returns what to tell the person if that ends a held
        verdict."""
        if gate is not None and self._same(gate):
            return None
        before, self._gate = self._gate, gate
        self._since = self._clock() if in_sight else math.inf
        held, self.held, self._sent = self.held, None, None
        if held is None:
            return None
        return f"not {DONE[held.kind]}: {held.gate} {_became(before, gate)}"

    def appear(self) -> None:
        """What is asked came into sight, again or for the first time."""
        self._since = self._clock()

    def uncover(self) -> None:
        """What lay over it is gone: what came up under that is in sight from now on."""
        if self._since == math.inf:
            self.appear()

    def refusal(self) -> str | None:
        """Why a key that decides would do nothing now, or None."""
        if self._gate is None:
            return "nothing is asked"
        if self._clock() - self._since < SETTLE_S:
            return f"dropped: pressed within {SETTLE_S:g} s of the question coming up"
        if self.held is not None:
            return f"{DONE[self.held.kind]} already; it can still be taken back"
        if self._sent is not None and self._clock() - self._sent[1] < ANSWER_S:
            return f"{DONE[self._sent[0].kind]} already, and sent; waiting for the answer"
        return None

    def hold(
        self,
        kind: Kind,
        note: str = "",
        about: str | None = None,
        more: Mapping[str, Any] | None = None,
        what: str = "",
    ) -> str | None:
        """Hold a verdict on what is shown. Returns why not, or None. `about`: hash of what the note was written about."""
        if refused := self.refusal():
            return refused
        assert self._gate is not None
        if about is not None and about != self._gate.hash:
            return "dropped: what is asked changed meanwhile"
        self.held = Held(kind, self._gate.id, self._gate.hash, note, self._clock() + UNDO_S, more or {}, what)
        return None

    def take_back(self) -> str:
        """Returns what to tell the person."""
        held, self.held = self.held, None
        if held is not None:
            return f"taken back: {held.gate} is not {DONE[held.kind]}"
        if self._sent is not None:
            return f"too late: {DONE[self._sent[0].kind]} and sent"
        return "nothing to take back"

    def due(self) -> Held | None:
        """The held verdict, once, when its time has come: it is to be sent now."""
        return self.flush() if self.held is not None and not self.left else None

    def flush(self) -> Held | None:
        """The held verdict, once, whatever time is left: nobody will be there to take it back."""
        held, self.held = self.held, None
        if held is not None:
            self._sent = (held, self._clock())
        return held

    def answered(self, ok: bool) -> None:
        """The answer to what was sent. After a no, the gate may be decided again."""
        if not ok:
            self._sent = None

    def _same(self, gate: Gate) -> bool:
        return self._gate is not None and (self._gate.id, self._gate.hash) == (gate.id, gate.hash)


def _became(before: Gate | None, now: Gate | None) -> str:
    """What a gate's verdict was too late for."""
    if before is None or now is None:
        return "was settled before it was sent"
    if (before.proposal, before.kind) != (now.proposal, now.kind):
        return f"was settled before it was sent; {now.id} is asked now"
    what = one_line(", ".join(changes(before, now)), 120)
    return f"changed before it was sent{what and ': '}{what}"
