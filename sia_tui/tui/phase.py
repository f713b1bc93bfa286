"""What the engine does right now, how far it is, and what the training under way looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sia_tui.core.clock import when
from sia_tui.core.state import Step
from sia_tui.store.reader import Metrics, Progress
from sia_tui.tui.alerts import nearness
from sia_tui.tui.panels import label, missing, panels
from sia_tui.tui.pieces import DIM, KEYS, STRONG, WARN, Line, Piece, bar, cells, fit, head, line, minutes, wrap
from sia_tui.tui.sparks import short, spark
from sia_tui.tui.view import View

FIRST = (
    "reward",
    "held_out",
    "useful",
    "kl",
    "entropy",
    "completions/mean_length",
    "length",
    "completions/clipped_ratio",
    "grad_norm",
    "sampling/sampling_logp_difference/mean",
    "gap",
    "sampling/importance_sampling_ratio/mean",
    "ratio",
    "loss",
    "clip_ratio/high_mean",
    "clip_ratio/low_mean",
    "clip",
    "staleness",
)
"""Measures in the order in which they matter while there is room for a few."""
_UNTOLD = {"learning_rate", "rollout_s", "train_s", "step_time", "tokens", "frac_reward_zero_std"}
_NAME = 13
REASON = 5
"""Lines that may say why a run stands still."""
NEAR = 0.8
"""Of the way to its end, from which a rule is near."""


def phase_lines(view: View, now: datetime, width: int, height: int, keys: Mapping[str, str] = KEYS) -> list[Line]:
    """The phase, then the training's measures or else the newest of the story, to fill `height` rows."""
    top = [*_phase(view, now, width, keys), line()]
    rest = max(0, height - len(top))
    step = _trained_last(view)
    if step is not None:
        top[-1:] = [*_rules(view, step, width), line()]
        rest = max(0, height - len(top))
        rows = measure_lines(view.metrics.get(step.id, ()), width)[:rest]
        if len(rows) + 2 < rest:
            rows += [line(), *story_lines(view, now, width, rest - len(rows) - 1)]
        return top + rows
    return top + story_lines(view, now, width, rest)


def story_lines(view: View, now: datetime, width: int, height: int) -> list[Line]:
    """The newest of what happened, oldest first."""
    newest = view.story[-height:] if height > 0 else ()
    dated = [(f"{when(at, now)} ", told) for at, told in newest]
    return [line((at, DIM), fit(told, max(4, width - cells(at)))) for at, told in dated]


def measure_lines(rows: Sequence[Metrics], width: int) -> list[Line]:
    """The measures that matter most: first and last value, and their course."""
    return [_measure(name, rows, width) for name in measures(rows)]


def panel_lines(rows: Sequence[Metrics], width: int) -> list[Line]:
    """Every measure of a training, under the heads of its panels, and which of these are not there."""
    found: list[Line] = []
    for panel in panels(rows):
        found += [head(panel.title), *(_measure(name, rows, width) for name in panel.names)]
    absent = missing(rows)
    return [*found, line((fit(absent, width), DIM))] if absent else found


def measures(rows: Sequence[Metrics]) -> list[str]:
    """Names of what was measured, the important ones first."""
    seen = {name for row in rows for name in row.values} - _UNTOLD
    return [name for name in FIRST if name in seen] + sorted(seen - set(FIRST))


def _measure(name: str, rows: Sequence[Metrics], width: int) -> Line:
    values = [row.values.get(name) for row in rows]
    known = [value for value in values if value is not None]
    if name == "held_out":
        values = _held(values)
    course = f"{short(known[0]):>6} → {short(known[-1]):<6}"
    return line(fit(label(name), _NAME), (course, STRONG), " ", (spark(values, max(4, width - _NAME - 16)), "$accent"))


def _held(values: list[float | None]) -> list[float | None]:
    """Looked at now and then: a value holds until the next."""
    held: list[float | None] = []
    for value in values:
        held.append(value if value is not None else held[-1] if held else None)
    return held


def _rules(view: View, step: Step, width: int) -> list[Line]:
    """What may end the training under way, the nearest first."""
    if step.trained is not None or step.proposal.plan is None:
        return []
    rows = view.metrics[step.id]
    found = nearness(step.proposal.plan, rows, view.state.cost.wall_s - step.spent_before + _unlogged(view, rows[-1]))
    pieces: list[Piece] = [(fit("stop rules", _NAME), DIM)]
    left = width - _NAME
    for at, one in enumerate(found):
        near = one.share >= NEAR
        told = f"{' · ' if at else ''}{'▲ ' if near else ''}{one.told}"
        pieces.append((told if cells(told) <= left else fit(told, max(0, left)), WARN if near else ""))
        left -= cells(told)
        if left <= 0:
            break
    return [line(*pieces)] if found else []


def _unlogged(view: View, newest: Metrics) -> float:
    """Seconds that passed in a training since the last event: a step of it is none."""
    last = view.state.last_at or newest.at
    return max(0.0, (datetime.fromisoformat(newest.at) - datetime.fromisoformat(last)).total_seconds())


def _trained_last(view: View) -> Step | None:
    """The step under way, if it has a training to show."""
    step = view.state.current
    return step if step is not None and view.metrics.get(step.id) else None


def _phase(view: View, now: datetime, width: int, keys: Mapping[str, str]) -> list[Line]:
    if view.over or view.state.status == "failed" or view.state.stop_reason:
        reason = view.state.stop_reason or ""
        return [line((text, STRONG)) for text in wrap(f"{view.state.status}: {reason}", width, REASON)]
    if not view.alive and (view.starting or not view.known):
        return [line(("starting", STRONG) if view.starting else ("reading …", DIM))]
    if not view.alive:
        return [line((f"no engine is running; {keys['app.start']} starts one", WARN))]
    if view.state.waiting is not None:
        whom = "a gate waited here" if view.recorded else "a gate waits for you"
        return [line((f"{whom}: press {keys['app.gate']}", WARN)), *_asked(view, width)]
    if view.progress is None:
        return [] if view.recorded else [line(("starting", STRONG))]
    return _progress(view.progress, now, width)


def _asked(view: View, width: int) -> list[Line]:
    step = view.state.current
    return [line(fit(f"{step.proposal.lever}: {step.proposal.title}", width))] if step else []


def _progress(found: Progress, now: datetime, width: int) -> list[Line]:
    if not found.total:
        spent = (now - datetime.fromisoformat(found.started_at)).total_seconds()
        return [line((fit(found.phase, width), STRONG)), line((f"since {minutes(max(0.0, spent))}", DIM))]
    count = f" {found.done}/{found.total}"
    room = max(4, width - 12)
    share = bar(found.done / found.total, room)
    lines = [
        line((fit(found.phase, max(4, width - len(count))), STRONG), (count, STRONG)),
        line((share, "$accent"), ("─" * (room - len(share)), DIM), f" {100 * found.done / found.total:3.0f} %"),
        line((fit(_eta(found, now), width), DIM)),
    ]
    return lines if not found.note else [*lines, line(fit(found.note, width))]


def _eta(found: Progress, now: datetime) -> str:
    if found.eta_s is None:
        return "no rate yet"
    done = datetime.fromisoformat(found.beat_at) + timedelta(seconds=found.eta_s)
    return f"{minutes(found.eta_s)} left → {when(done.isoformat(), now, seconds=False)}"
