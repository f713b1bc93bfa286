"""The task's compiler, as far as an episode may ask it: so many times, its own lines and no more."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from sia_tui.core.episodes import COMPILER, ToolCall
from sia_tui.core.text import clean
from sia_tui.harness.messages import CAPS

LONGEST: Final = 2000
"""Characters of what it says that come back."""

Compiler = Callable[[str], Awaitable[str]]
"""From an answer to what the compiler says of it; nothing where it compiles."""


@dataclass
class Attempts:
    """Those of one episode."""

    compiler: Compiler
    left: int
    calls: list[ToolCall] = field(default_factory=list)
    fault: Exception | None = None
    """Why one was not answered; the episode is then nobody's, for what was said in its place is not true."""
    asking: bool = False

    async def ask(self, answer: str) -> str:
        self.left, self.asking, began = self.left - 1, True, time.monotonic()
        try:
            said = clean(await self.compiler(answer))[:LONGEST]
        except Exception as error:  # noqa: BLE001 - raised by whoever finishes the episode
            self.fault, said = error, ""
        finally:
            self.asking = False
        self.calls.append(ToolCall(COMPILER, clean(answer)[: CAPS["tool_text"]], said, time.monotonic() - began))
        return said
