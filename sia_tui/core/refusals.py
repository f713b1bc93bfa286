"""What people kept from being tried in a run, and how often it came back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sia_tui.core.hunks import digests
from sia_tui.core.state import State, Step


@dataclass(frozen=True)
class Refusal:
    """A hunk that a person dropped, or a proposal that one said no to."""

    step: str
    title: str
    by: str
    hunk: str = ""
    """Empty: the whole proposal."""
    note: str = ""
    digests: frozenset[str] = frozenset()
    """Of the hunks; none of a proposal without a patch."""
    returned: int = 0
    """In how many later patches one of them was."""


def refusals(state: State) -> tuple[Refusal, ...]:
    """Oldest first."""
    found: list[Refusal] = []
    for step in state.steps:
        there = digests(step.proposal.patch or "")
        found = [replace(one, returned=one.returned + bool(one.digests & there)) for one in found]
        found += _of(step, there)
    return tuple(found)


def _of(step: Step, there: frozenset[str]) -> Iterator[Refusal]:
    title = step.proposal.title
    if step.amended is not None:
        for hunk in step.amended.dropped:
            yield Refusal(step.id, title, step.amended.by, hunk.told, digests=frozenset({hunk.digest}))
    for said in step.verdicts:
        if said.kind == "reject" and said.by != "auto" and (there or said.note):
            yield Refusal(step.id, title, said.by, note=said.note, digests=there)


def repeated(state: State, step: Step) -> tuple[Refusal, int] | None:
    """The newest refused patch of which hunks are back in a step's, and how many. A dropped hunk has a light of its own."""
    there = digests(step.proposal.patch or "")
    earlier = [one for one in refusals(state) if not one.hunk and one.step != step.id and one.digests & there]
    return (earlier[-1], len(earlier[-1].digests & there)) if earlier else None
