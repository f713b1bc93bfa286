"""Where a run's working time went: each stretch belongs to what came of it; and what each step has cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sia_tui.core import events as ev
from sia_tui.core.fold import advance
from sia_tui.core.spent import Cost
from sia_tui.core.state import State

_PHASES: dict[type[object], str] = {
    ev.TaskReady: "reading the task",
    ev.BaselinesMeasured: "null baselines",
    ev.BaselinesTested: "null baselines",
    ev.PolicyReady: "making the policy ready",
    ev.ProposalMade: "proposing",
    ev.AgentCalled: "proposing",
    ev.ProposalChecked: "checks",
    ev.PreviewDone: "previews",
    ev.PilotDone: "pilots",
    ev.ProposalReviewed: "the critic",
    ev.AdapterTrained: "training",
}
OTHER = "the rest"


def phases(log: Iterable[ev.Recorded]) -> dict[str, float]:
    """Seconds of engines' work by phase, the longest first. Waiting for a person is in none, as in the run's cost."""
    state, found = State(), dict[str, float]()
    for entry in log:
        before = state.cost.wall_s
        state = advance(state, entry)
        if passed := state.cost.wall_s - before:
            name = _phase(entry.event)
            found[name] = found.get(name, 0.0) + passed
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _phase(event: ev.Event) -> str:
    if isinstance(event, ev.Evaluated):
        return f"measuring on {event.split}"
    return _PHASES.get(type(event), OTHER)


@dataclass(frozen=True)
class Stretch:
    """Of a step: from its proposal, or that of the one it was made of, to its end."""

    began: str
    ended: str
    cost: Cost
    """GPU time within it, and the money of agents' models since the step before had ended. Tokens are in no log."""


def stretches(log: Iterable[ev.Recorded]) -> dict[str, Stretch]:
    """Of every step that has ended, by its id; one that became another step is part of that."""
    state, found = State(), dict[str, Stretch]()
    began, gpu_s, money = "", 0.0, 0.0
    for entry in log:
        state = advance(state, entry)
        step = state.steps[-1] if state.steps else None
        if isinstance(entry.event, ev.ProposalMade) and step is not None and state.amends(step) is None:
            began, gpu_s = entry.at, state.cost.gpu_s
        if step is not None and step.closed and step.amended is None and step.id not in found:
            cost = Cost(gpu_s=state.cost.gpu_s - gpu_s, money=state.cost.money - money)
            found[step.id] = Stretch(began, entry.at, cost)
            money = state.cost.money
    return found
