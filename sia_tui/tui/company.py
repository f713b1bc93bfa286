"""Who leads a run and who watches, of the people that have a window open on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sia_tui.store.windows import Open


@dataclass(frozen=True)
class Company:
    """`lead` is the user whose windows decide, empty where every window only reads; the others watch."""

    lead: str = ""
    watching: tuple[str, ...] = ()
    pane: str = ""
    """That the leader looks at."""


def company(windows: Iterable[Open]) -> Company:
    """The newest to have taken the lead has it, as long as one of their windows may decide."""
    there = sorted(windows, key=lambda one: (one.led, one.user))
    leaders = [one for one in there if one.led and not one.read_only]
    if not leaders:
        return Company("", _others(there, ""))
    lead = leaders[-1]
    return Company(lead.user, _others(there, lead.user), lead.pane)


def _others(there: Iterable[Open], lead: str) -> tuple[str, ...]:
    return tuple(sorted({one.user for one in there} - {lead}))
