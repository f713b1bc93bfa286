"""What a run rests on, by digest: as recorded when it was made, and as found now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

UNSEEN = "its owner's: not looked at"
"""What lies where whoever looks may not."""


@dataclass(frozen=True)
class Seal:
    name: str
    recorded: str
    found: str | None
    """None where it is not there to be looked at; `why` says so."""
    why: str = ""

    @property
    def holds(self) -> bool:
        return self.recorded == self.found

    @property
    def seen(self) -> bool:
        return self.why != UNSEEN

    @property
    def told(self) -> str:
        if self.holds:
            return "as recorded"
        return self.why or "CHANGED"


@dataclass(frozen=True)
class Check:
    """One line about a part of a run that was looked at whole."""

    name: str
    told: str
    level: Literal["ok", "behind", "broken"] = "ok"
    """`behind`: not as the log says, and brought in line by itself when the run goes on."""
    do: str = ""
