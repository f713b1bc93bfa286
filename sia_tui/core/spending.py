"""Where a run's working time went: each stretch belongs to what came of it."""

from __future__ import annotations

from collections.abc import Iterable

from sia_tui.core import events as ev
from sia_tui.core.fold import advance
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
