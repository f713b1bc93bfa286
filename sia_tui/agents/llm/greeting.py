"""One small call: whether a role's model answers, calls tools, how fast, and for how much."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from sia_tui.agents.llm.answers import Invalid
from sia_tui.agents.llm.asking import ask
from sia_tui.agents.llm.calls import Call
from sia_tui.agents.llm.roles import Role

WORD = "harbour"


class Greeting(BaseModel):
    model_config = ConfigDict(extra="forbid")
    word: str


@dataclass
class Heard:
    """The Calls protocol, kept in memory alone."""

    calls: list[Call] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def reply(self, id: str) -> bytes | None:
        return None

    def keep(self, call: Call) -> None:
        self.calls.append(call)

    def say(self, text: str) -> None:
        self.notes.append(text)

    def beat(self) -> None:
        return None

    def failed(self, role: str, reason: str, instead: str) -> None:
        self.notes.append(reason)

    @property
    def tokens(self) -> int:
        return sum(call.event.tokens_in + call.event.tokens_out for call in self.calls)

    @property
    def cost(self) -> float | None:
        """None where a price is not known."""
        known = [call.event.cost for call in self.calls if call.event.cost is not None]
        return sum(known) if len(known) == len(self.calls) else None


async def greet(name: str, role: Role) -> tuple[Heard, float]:
    """What was heard, and the seconds it took. Raises NoAnswer; a model that calls no tools has none."""
    heard, used = Heard(), list[str]()

    def word() -> str:
        """The word of the day."""
        used.append(WORD)
        return WORD

    def accept(said: Greeting) -> str:
        if not used or said.word.strip().lower() != WORD:
            raise Invalid("call the tool `word` and answer with the word it gives")
        return said.word

    start = time.monotonic()
    await ask(name, role, heard, ("greeting",), "Go on.", Greeting, accept, [word])
    return heard, time.monotonic() - start
