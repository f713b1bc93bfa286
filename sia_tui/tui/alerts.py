"""What the plan's rules and the engine's alarms have to say on a curve: limits to stay below, how near they are, and steps at
which one spoke."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sia_tui.core.events import Alarmed
from sia_tui.core.plans import TrainPlan
from sia_tui.core.state import Step
from sia_tui.core.stops import GAP, Limit, limits, stale
from sia_tui.core.text import one_line
from sia_tui.store.reader import Metrics
from sia_tui.tui.panels import REWARD, label
from sia_tui.tui.pieces import HEAD, WARN, Line, line, minutes, wrap

MOST_RULES = 2
"""Lines for what spoke."""
_RULES = "RULES  "
Level = tuple[str, float]
Mark = tuple[float, str]
"""A step, and the rule that spoke at it."""


@dataclass(frozen=True)
class Nearness:
    """How far a training is from being ended by a rule."""

    told: str
    """`KL .019/.08`: where it stands, and where it ends."""
    share: float
    """Of the way."""


def nearness(plan: TrainPlan, rows: Sequence[Metrics], seconds: float) -> list[Nearness]:
    """Of every stop rule of the plan, the nearest first. `seconds`: since the training began."""
    found = [*_of_limits(plan, rows, seconds), *_of_looks(plan, rows), *_of_slope(plan, rows)]
    return sorted(found, key=lambda one: -one.share)


def _of_limits(plan: TrainPlan, rows: Sequence[Metrics], seconds: float) -> Iterator[Nearness]:
    for limit in limits(plan):
        if limit.most and not limit.measure:
            yield Nearness(f"clock {_clock(seconds)}/{_clock(limit.most)}", seconds / limit.most)
        elif limit.most and (value := _newest(limit.measure, rows)) is not None:
            yield Nearness(f"{label(limit.measure)} {_short(value)}/{_short(limit.most)}", value / limit.most)


def _of_looks(plan: TrainPlan, rows: Sequence[Metrics]) -> Iterator[Nearness]:
    if looks := [row.values["held_out"] for row in rows if "held_out" in row.values]:
        count = stale(looks)
        yield Nearness(f"no new best {count}/{plan.patience} looks", count / plan.patience)


def _of_slope(plan: TrainPlan, rows: Sequence[Metrics]) -> Iterator[Nearness]:
    """Judged once, at its step; what it would say is not known before."""
    if plan.stop_slope and rows and rows[-1].step < plan.stop_slope:
        yield Nearness(f"reward has to rise by step {plan.stop_slope}", 0.0)


def _newest(measure: str, rows: Sequence[Metrics]) -> float | None:
    told = (row for row in reversed(rows) if not (measure == GAP and row.values.get("staleness", 0) > 0))
    return next((row.values[measure] for row in told if measure in row.values), None)


def _short(value: float) -> str:
    said = f"{value:.2g}"
    return said.replace("0.", ".", 1) if said.startswith(("0.", "-0.")) else said


def _clock(seconds: float) -> str:
    """`42 s`, `12 min`, `3.5 h`."""
    return minutes(seconds) if seconds >= 5400 or seconds < 90 else f"{seconds / 60:.0f} min"


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


def spoken(step: Step, rows: Sequence[Metrics], alarms: Sequence[tuple[str, Alarmed]]) -> tuple[Mark, ...]:
    """The same beside all measures at once."""
    limited = limits(step.proposal.plan) if step.proposal.plan else ()
    return marks(step, rows, (*REWARD, *(one.measure for one in limited)), alarms)


def rule_lines(found: Sequence[Mark], width: int) -> list[Line]:
    """What spoke, the newest first, and of how many more there is no room to tell."""
    told = [f"step {at:g}: {one_line(name, 60)}" for at, name in reversed(found)]
    room, lines = width - len(_RULES), list[str]()
    for count in range(len(told), 0, -1):
        rest = [f"{len(told) - count} more"] if count < len(told) else []
        lines = wrap(" · ".join((*told[:count], *rest)), room)
        if len(lines) <= MOST_RULES:
            break
    heads = (_RULES, *(" " * len(_RULES) for _ in lines))
    return [line((head, HEAD), (text, WARN)) for head, text in zip(heads, lines[:MOST_RULES], strict=False)]


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
