"""A proposal as a person changed it at its gate: another proposal, checked and asked about like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sia_tui.core import events as ev
from sia_tui.core.gates import Gate
from sia_tui.core.hunks import digests, fresh, hunks, lost
from sia_tui.core.plans import TrainPlan
from sia_tui.core.proposals import Dropped, Light, Proposal
from sia_tui.core.state import State, Step
from sia_tui.core.text import clean

_CHANGED, _INSTEAD = ", changed by ", ", instead of: "
LONGEST = 2000
"""Characters of a dropped hunk that are kept in words; its digest is of all of it."""


class NotAmended(ValueError):
    """What a person made of the proposal is none; the message says why."""


def amended(state: State, gate: Gate, by: str, patch: str | None, plan: Mapping[str, Any] | None) -> list[ev.Event]:
    """The events that put another proposal in the place of the one that `gate` asks about. `plan`: fields that differ.

    It keeps its agent, reason and evidence and loses its prediction, which was of the whole. Raises NotAmended.
    """
    step = state.step(gate.proposal)
    made = _changed(step, gate, patch, plan)
    new = replace(made, title=_title(step.proposal, made, by), predicted_gain=None, predicted_range=None)
    name = new.id_at(state.run, len(state.steps) + 1)
    before, after = step.proposal.patch or "", new.patch or ""
    dropped = tuple(Dropped(hunk.told, hunk.digest, clean(hunk.text[:LONGEST])) for hunk in lost(before, after))
    closed = ev.ProposalAmended(step.id, name, gate.id, by, dropped, bool(fresh(before, after)))
    return [closed, ev.ProposalMade(name, new, step.advice)]


def _changed(step: Step, gate: Gate, patch: str | None, plan: Mapping[str, Any] | None) -> Proposal:
    was = step.proposal
    if gate.kind != "step":
        raise NotAmended(f"{gate.id} asks about a result; only what was not carried out yet can be changed")
    if patch is not None and (was.patch is None or not hunks(patch)):
        raise NotAmended("it has no patch to change" if was.patch is None else "that is no unified diff with a hunk")
    try:
        changed = replace(was, patch=was.patch if patch is None else patch, plan=_plan(was.plan, plan))
    except (ValueError, TypeError) as fault:
        raise NotAmended(str(fault)) from fault
    if (changed.patch, changed.plan) == (was.patch, was.plan):
        raise NotAmended("nothing of it is changed: approve it, or reject it")
    return changed


def _title(was: Proposal, made: Proposal, by: str) -> str:
    """What it is now: an agent's title may say what a person has just changed."""
    first = (was.title.partition(_INSTEAD)[2] or was.title).partition(_CHANGED)[0]
    if made.plan is None or made.plan == was.plan:
        return f"{first}{_CHANGED}{by}"
    return f"{made.plan.algorithm}, LoRA r {made.plan.rank}, {made.plan.steps} steps{_INSTEAD}{first}"


def _plan(was: TrainPlan | None, plan: Mapping[str, Any] | None) -> TrainPlan | None:
    if not plan:
        return was
    if was is None:
        raise NotAmended("it has no plan to change")
    lists: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in plan.items()}
    return replace(was, **lists)


def check_dropped(patch: str, earlier: Sequence[Step]) -> tuple[Light, ...]:
    """Amber, counted, where a hunk is back that a person dropped; no light while nobody dropped any."""
    dropped = [(step, hunk) for step in earlier if step.amended for hunk in step.amended.dropped]
    if not dropped:
        return ()
    back = [(step, hunk) for step, hunk in dropped if hunk.digest in digests(patch)]
    if not back:
        return (Light("dropped hunks", "ok"),)
    step, hunk = back[-1]
    by = step.amended.by if step.amended else ""
    again = 1 + sum(hunk.digest in digests(later.proposal.patch or "") for later in earlier[earlier.index(step) + 1 :])
    times = "" if again == 1 else f", back for the {again}. time"
    more = f"; so {len(back) - 1} more" if len(back) > 1 else ""
    return (Light("dropped hunks", "amber", f"a person ({by}) dropped {hunk.told} in {step.id}{times}{more}"),)
