"""What the plan's rules and the engine's alarms have to say on a curve: limits to stay below, and steps at which one spoke."""

from __future__ import annotations

from collections.abc import Sequence

from sia_tui.core.events import Alarmed
from sia_tui.core.plans import TrainPlan
from sia_tui.core.state import Step
from sia_tui.core.stops import GAP, Limit, limits
from sia_tui.core.text import one_line
from sia_tui.store.reader import Metrics
from sia_tui.tui.panels import REWARD

Level = tuple[str, float]
Mark = tuple[float, str]
"""A step, and the rule that spoke at it."""


def levels(plan: TrainPlan | None, names: Sequence[str]) -> tuple[Level, ...]:
    """The limits that the plan sets to these measures."""
    found = limits(plan) if plan else ()
    return tuple((f"stops above {one.most:g}", one.most) for one in found if one.most and one.measure in names)


def marks(
    step: Step, rows: Sequence[Metrics], names: Sequence[str], alarms: Sequence[tuple[str, Alarmed]]
) -> tuple[Mark, ...]:
    """Where a limit was first passed, beside its measure; where the training ended and what was seen, beside the reward."""
    plan = step.proposal.plan
    found = [mark for one in (limits(plan) if plan else ()) if one.measure in names and (mark := _passed(one, rows))]
    if REWARD[0] in names and rows:
        if ended := _ended(step):
            found.append((float(rows[-1].step), ended))
        mine = [(at, alarm) for at, alarm in alarms if alarm.proposal == step.id]
        found += [(_step_at(rows, at), f"alarm {alarm.kind}") for at, alarm in mine]
    return tuple(sorted(found))


def _passed(limit: Limit, rows: Sequence[Metrics]) -> Mark | None:
    for row in rows:
        stale = limit.measure == GAP and row.values.get("staleness", 0) > 0
        if limit.broken(row.values.get(limit.measure)) and not stale:
            return float(row.step), f"stop rule: {limit.name}"
    return None


def _ended(step: Step) -> str:
    """By what rule, where it was one, or by whom."""
    if step.trained is not None:
        said = step.trained.stopped.split(",", 1)[0]
        return "" if said.startswith("all ") else one_line(said, 60)
    return f"ended by {step.cut_short_by}" if step.cut_short_by else ""


def _step_at(rows: Sequence[Metrics], at: str) -> float:
    """The step that was under way at a time."""
    return float(next((row.step for row in rows if row.at >= at), rows[-1].step))
