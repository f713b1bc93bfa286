"""Proposals of people: a patch of their own, or an earlier one revived. They go the way of every other."""

from __future__ import annotations

from sia_tui.core.hunks import hunks
from sia_tui.core.proposals import PERSON, Proposal
from sia_tui.core.state import State, Step


class NotProposed(ValueError):
    """It is no proposal; the message says why."""


def proposed(state: State, by: str, patch: str, title: str, reason: str, revives: str | None = None) -> Proposal:
    """A person's patch of the incumbent. `revives`: the earlier step it was made of, whose words it keeps. Raises NotProposed."""
    best, was = state.best, _earlier(state, revives) if revives else None
    if best is None:
        raise NotProposed("the run has no generation to change yet")
    if state.status in ("done", "stopped") or state.stop_asked is not None:
        raise NotProposed(
            f"the run is {'ending' if state.stop_asked else state.status}; branch from a generation to go on"
        )
    if not hunks(patch):
        raise NotProposed("that is no unified diff with a hunk")
    title = title or (was.proposal.title if was else "")
    if not title:
        raise NotProposed("a proposal has a title")
    revived = f"{by} revives {was.id}, {_fate(state, was)}: {was.proposal.reason}" if was else ""
    told = " ".join(filter(None, (reason, revived))) or f"by {by}"
    idea = f"{was.proposal.idea}, revived from {was.id}" if was else title
    evidence = was.proposal.evidence if was else ()
    made = Proposal("harness", title, told, idea, best.commit, evidence, patch, agent=f"{PERSON}{by}")
    if any(one.proposal.change == made.change for one in state.wanted):
        raise NotProposed("the same change waits for its turn already")
    return made


def _earlier(state: State, name: str) -> Step:
    """The step with this id, or that made the generation of this name. Raises NotProposed."""
    index = int(name[1:]) if name.startswith("g") and name[1:].isdecimal() else -1
    step = next((step for step in state.steps if step.id == name or index in step.candidates), None)
    if step is None or step.proposal.patch is None:
        raise NotProposed(f"{name} is no step with a patch")
    return step


def revivable(state: State, name: str) -> Step:
    """A step whose patch serves no longer or never did. Raises NotProposed."""
    step, best = _earlier(state, name), state.best
    refused = bool(step.verdicts) and step.verdicts[-1].kind == "reject" and step.open_gate is None
    if not (step.closed or refused):
        raise NotProposed(f"{step.id} is not over yet")
    line = best.index if best else None
    while line is not None:
        if line in step.candidates:
            raise NotProposed(f"{step.id} is part of what serves")
        line = state.generations[line].parent
    return step


def _fate(state: State, step: Step) -> str:
    if step.refused is not None:
        return f"refused by {step.refused.by} ({step.refused.reason or 'no reason given'})"
    if step.amended is not None:
        return f"amended by {step.amended.by}"
    made = None if step.generation is None else state.generations[step.generation]
    return f"rolled back ({made.why or 'no reason given'})" if made and made.kept is False else "left behind"
