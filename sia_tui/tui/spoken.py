"""What agents' models were sent and said, as lines; it is untrusted text like any other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.cells import chop_cells

from sia_tui.core.clock import when
from sia_tui.core.text import clean
from sia_tui.store.reader import AgentCall
from sia_tui.tui.pieces import ACCENT, DIM, GOOD, Line, head, line

_WHO = {
    "system": ("instructions", DIM),
    "user": ("asked", ACCENT),
    "tool": ("result", DIM),
    "assistant": ("said", GOOD),
    "thinking": ("thought", DIM),
    "call": ("calls", GOOD),
}


def spoken(calls: Sequence[AgentCall], now: datetime, width: int) -> list[Line]:
    """Whole, each text wrapped to the width."""
    return [row for call in calls for row in _call(call, now, max(16, width))]


def _call(call: AgentCall, now: datetime, width: int) -> Iterator[Line]:
    step = f"step {call.step}" if call.step else "the first harness"
    yield head(f"{call.role} agent", f"{step}, {when(call.at, now)}")
    for said in (*call.sent, *call.said):
        who, style = _WHO.get(said.get("role", ""), (said.get("role", "?"), DIM))
        yield line((f"  {who} {said.get('name', '')}".rstrip(), style))
        for text in clean(said.get("text", "")).splitlines():
            yield from (line(f"    {part}") for part in chop_cells(text.expandtabs(4), width - 4) or [""])
    yield line("")
