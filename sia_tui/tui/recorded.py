"""What a recording tells beside the run's own log: how each gate was answered, and what was under way at a moment."""

from __future__ import annotations

from collections.abc import Iterable

from sia_tui.core import events as ev
from sia_tui.core import loop
from sia_tui.core.meantime import Attribute, Gather, Trace
from sia_tui.core.telling import tell
from sia_tui.core.text import one_line
from sia_tui.store.reader import Progress
from sia_tui.tui.view import View

Answered = tuple[str, str]
"""When, and what became of the gate that waited, in a line."""


def answers(log: Iterable[ev.Recorded]) -> tuple[Answered, ...]:
    """What ended each gate's waiting, oldest first."""
    ends = ev.VerdictGiven | ev.ProposalAmended | ev.EvidenceWanted
    found = ((entry.at, tell(entry.event)) for entry in log if isinstance(entry.event, ends))
    return tuple((at, one_line(told, 300)) for at, told in found if told)


def under_way(view: View, at: str) -> Progress | None:
    """What the engine did at this moment: by the rule that it went by itself. None where that is not known."""
    if view.config is None or view.over:
        return None
    action = loop.next_action(view.state, view.config.rules)
    since = view.story[-1][0] if view.story else at
    phase, done, total = _phase(action), 0, 0
    if isinstance(action, loop.Train):
        plan, rows = view.state.step(action.proposal).proposal.plan, view.metrics.get(action.proposal, ())
        done, total = (rows[-1].step if rows else 0), (plan.steps if plan else 0)
    return Progress(phase, done, total, since, None, at, "") if phase else None


def _phase(action: loop.Action) -> str:
    match action:
        case loop.PrepareTask():
            return "reading the task"
        case loop.CheckEvaluator():
            return "is the evaluator fit?"
        case loop.MeasureBaselines() | loop.TestBaselines():
            return "null baselines"
        case loop.PreparePolicy():
            return "making the policy ready"
        case loop.WriteFirst() | loop.PlantSeed():
            return "the first harness"
        case loop.Evaluate(generation=index, split=split):
            return f"measuring g{index} on {split}"
        case loop.Propose():
            return "the Feedback-Agent reads the trajectories"
        case loop.Check(proposal=name):
            return f"checks of {name}"
        case loop.RunPreview(proposal=name):
            return f"preview of {name}"
        case loop.RunPilot(proposal=name):
            return f"pilot of {name}"
        case loop.AskCritic():
            return "the critic reads the proposal"
        case loop.Train(proposal=name):
            return f"training {name}"
        case loop.Apply(proposal=name):
            return f"applying {name}"
        case loop.Compare(proposal=name):
            return f"comparing what {name} became"
        case Gather() | Attribute() | Trace():
            return "more evidence"
        case _:
            return ""
