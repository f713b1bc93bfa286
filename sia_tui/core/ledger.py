"""What was decided of every step, and how what was promised of it stands beside what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sia_tui.core.forecast import TrackRecord, tracks
from sia_tui.core.proposals import Lever
from sia_tui.core.recall import recall
from sia_tui.core.state import State, Step


@dataclass(frozen=True)
class Said:
    """One verdict."""

    kind: str
    by: str
    note: str
    at: str


@dataclass(frozen=True)
class Decision:
    """One step. Gains in reward units, on dev; costs by name, as the proposal gave them."""

    step: str
    lever: Lever
    title: str
    agent: str
    outcome: str
    why: str
    """By whom and for what reason it ended so."""
    generation: int | None = None
    predicted: float | None = None
    range: tuple[float, float] | None = None
    expected: float | None = None
    """What the agent's record made of the prediction, before it was measured."""
    gain: float | None = None
    lo: float | None = None
    hi: float | None = None
    predicted_cost: Mapping[str, float] | None = None
    cost: Mapping[str, float] | None = None
    minutes: float | None = None
    """Working time from its proposal to its decision."""
    verdicts: tuple[Said, ...] = ()

    @property
    def sign_right(self) -> bool | None:
        """Up or down as promised; None where either is unknown, or nothing was promised."""
        return None if not self.predicted or self.gain is None else self.predicted * self.gain > 0


def ledger(state: State) -> tuple[Decision, ...]:
    """Every step that was proposed, oldest first."""
    return tuple(_decision(state, step) for step in state.steps)


def calibration(state: State) -> tuple[TrackRecord, ...]:
    """How the predictions of each agent for each lever have held in this run."""
    return tracks(recall(state).forecasts, state.task)


def _decision(state: State, step: Step) -> Decision:
    asked, found = step.proposal, step.measured
    promised = asked.predicted_gain
    outcome, why = _ended(state, step)
    return Decision(
        step.id,
        asked.lever,
        asked.title,
        asked.agent,
        outcome,
        why,
        step.generation,
        promised,
        asked.predicted_range,
        step.record.discounted(promised) if step.record and promised is not None else None,
        found.gain if found else None,
        found.lo if found else None,
        found.hi if found else None,
        dict(asked.predicted_cost) | ({"training_s": step.pilot.expected_s} if step.pilot else {}),
        (dict(found.cost) if found else {}) | ({"training_s": step.trained.seconds} if step.trained else {}),
        None if step.ended_s is None else (step.ended_s - step.began_s) / 60,
        tuple(Said(verdict.kind, verdict.by, verdict.note, verdict.at) for verdict in step.verdicts),
    )


def _ended(state: State, step: Step) -> tuple[str, str]:
    if step.refused is not None:
        return "refused", f"by {step.refused.by}: {step.refused.reason or 'no reason given'}"
    if step.amended is not None:
        return "amended", f"by {step.amended.by} into {step.amended.into}"
    made = None if step.generation is None else state.generations[step.generation]
    if made is None or made.kept is None:
        return ("broken off" if step.closed else "under way"), ""
    return ("kept" if made.kept else "rolled back"), made.why
