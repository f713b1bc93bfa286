"""What stands beside the evidence when it is no diff: a training plan, the end of a run, or nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from sia_tui.core.clock import eta
from sia_tui.core.plans import TrainPlan
from sia_tui.core.refusals import refusals
from sia_tui.core.state import State, Step
from sia_tui.core.telling import percent, points
from sia_tui.core.text import one_line
from sia_tui.store.reader import Progress
from sia_tui.tui.asked import Question
from sia_tui.tui.pieces import BAD, DIM, GOOD, STRONG, WARN, Line, fit, head, interval, line, table, wrap
from sia_tui.tui.plan_words import PPO, Changes, label, value_told

_MOST = 8
"""Of what was turned down."""


def planned(asked: Question, width: int) -> list[Line]:
    """The plan field by field, against the last one that was carried out; what a person made of it, against the agent's."""
    plan, before, own = asked.step.proposal.plan, asked.state.last_plan, asked.own_changes
    if plan is None:
        return _ending(asked, width)
    changes = plan.changes(before) if before else {}
    against = f"against the last one carried out, {len(changes)} changed" if before else "the first of this run"
    names = [item.name for item in fields(plan) if plan.algorithm == "ppo" or item.name not in PPO]
    rows = [(label(name), value_told(name, getattr(plan, name)), "") for name in names]
    lines = [head("THE PLAN", f"{f'{len(own)} of it a person changed; ' if own else ''}{against}")]
    for name, cells in zip(names, table(rows), strict=True):
        of_it = _proposed(name, own) if name in own else _against(name, changes, before)
        lines.append(line((cells[0], DIM), cells[1], of_it))
    return [*lines, line(), *_stops(plan, asked, width)]


def _proposed(name: str, own: Changes) -> tuple[str, str]:
    return f"▲ proposed {value_told(name, own[name][0])}", f"bold {WARN}"


def _against(name: str, changes: Changes, before: TrainPlan | None) -> tuple[str, str]:
    if before is None:
        return "", ""
    if name not in changes:
        return "same", DIM
    return f"▲ was {value_told(name, changes[name][0])}", f"bold {WARN}"


def _stops(plan: TrainPlan, asked: Question, width: int) -> list[Line]:
    told = [
        (
            "STOPS ITSELF",
            f"after {plan.patience} looks without a new best on {plan.held_out} train cases held out, one look every "
            f"{plan.eval_every} steps, or by the rules above. You may end it early, with its best adapter, or pause it.",
        ),
        (
            "AFTER",
            "the best step is published, proved to be served as trained, and measured paired "
            f"on {asked.dev_n or '?'} dev cases.",
        ),
        (
            "TOUCHES",
            f"a new adapter only: g{asked.state.incumbent} serves until it is measured, and after if it is not better.",
        ),
    ]
    lines: list[Line] = []
    for name, text in told:
        lines += [head(name), *(line(part) for part in wrap(text, width))]
    return lines


def _ending(asked: Question, width: int) -> list[Line]:
    """What a run that ends here comes to."""
    state, reason = asked.state, asked.step.proposal.reason
    lines = [head("WHY STOP"), *(line(text) for text in wrap(reason, width, 60)), line(), head("WHERE IT STANDS")]
    for generation in state.generations:
        dev = generation.results.get("dev")
        mark = "▸" if generation.index == state.incumbent else " "
        mean = f"{percent(dev.mean):>7}" if dev else "      –"
        lines.append(line(f"{mark} g{generation.index:<3}", mean, (f"  {_fate(generation.kept)}", DIM)))
    return [*lines, *_turned_down(state, width)]


def _turned_down(state: State, width: int) -> list[Line]:
    """What people kept from being tried: whole patches, and hunks of those that they changed."""
    of_patches = [one for one in reversed(refusals(state)) if one.digests]
    told = [f"{one.step} “{one_line(one.title, 100)}”{f': {one.hunk}' if one.hunk else ''}" for one in of_patches]
    if not told:
        return []
    more = [f"and {len(told) - _MOST} more"] if len(told) > _MOST else []
    rows = [part for one in (*told[:_MOST], *more) for part in wrap(one, width, 3)]
    return [line(), head("TURNED DOWN", "the history revives a patch"), *map(line, rows)]


def _fate(kept: bool | None) -> str:
    return {None: "not decided", True: "kept", False: "rolled back"}[kept]


def idle(state: State, progress: Progress | None, alive: bool, width: int) -> list[Line]:
    """While nothing is asked: what the engine does, and what was decided so far."""
    lines = [*_withdrawn(state, width), line(), *_doing(state, progress, alive), line()]
    if not state.steps:
        return [*lines, line(("nothing was proposed yet", DIM))]
    lines.append(head("DECIDED SO FAR", f"{sum(step.closed for step in state.steps)} of {len(state.steps)} steps"))
    for number, step in reversed(list(enumerate(state.steps, 1))):
        lines += _decided(number, step, width)
    return lines


def _withdrawn(state: State, width: int) -> list[Line]:
    """What became of the question: nothing is asked, or more is found out about it first."""
    wanted = state.current.wanted if state.current else None
    if wanted is None:
        return [line(("No gate waits.", STRONG))]
    told = f"{wanted.gate} is put again, under another hash, with {_gathered(state)}. What you made of the patch stays."
    return [head("MORE EVIDENCE", f"wanted by {wanted.by}"), *(line((text, STRONG)) for text in wrap(told, width))]


def _gathered(state: State) -> str:
    step = state.current
    if step is not None and step.candidates:
        return "candidate and incumbent on dev under another sampling seed"
    return "its preview on as many further train cases"


def _doing(state: State, progress: Progress | None, alive: bool) -> Sequence[Line]:
    if state.status == "failed":
        return [line(("the run failed; an engine goes on with it: ", WARN), f"{state.stop_reason or ''}")]
    if state.status in ("done", "stopped"):
        return [line(("the run is over: ", DIM), state.status, (f", {state.stop_reason or ''}", DIM))]
    if state.status == "paused":
        return [line(("the run is paused", WARN))]
    if not alive:
        return [line(("no engine is alive", WARN))]
    if progress is None:
        return [line(("the engine starts", DIM))]
    counted = f"  {progress.done} of {progress.total}  {eta(progress.eta_s)}" if progress.total else ""
    return [line(("the engine: ", DIM), progress.phase, (counted, DIM))]


def _decided(number: int, step: Step, width: int) -> list[Line]:
    glyph, tone, told = outcome(step)
    verdict = step.verdicts[-1] if step.verdicts else None
    by = f"{verdict.kind} by {verdict.by}{f': {verdict.note}' if verdict.note else ''}" if verdict else "no verdict"
    room = max(10, width - 18)
    return [
        line(
            (f"{number:>3} ", DIM),
            (f"{glyph} ", tone),
            f"{step.proposal.lever:<8} ",
            (fit(step.proposal.title, room), STRONG),
        ),
        line("      ", (told, tone), ("" if step.refused else f" · {by}", DIM)),
    ]


def outcome(step: Step, generation: int | None = None) -> tuple[str, str, str]:
    """How a step ended, or one of its candidates: glyph, tone, words."""
    if step.refused is not None:
        return "✗", BAD, f"refused by {step.refused.by}: {step.refused.reason}"
    if step.amended is not None:
        return "↷", WARN, f"amended by {step.amended.by} into {step.amended.into}"
    found = step.measured if generation is None else step.measure_of(generation)
    if found is not None:
        told = f"{found.outcome} on dev, {points(found.gain)} {interval(found.lo, found.hi)}"
        glyph, tone = {"better": ("✓", GOOD), "worse": ("✗", BAD)}.get(found.outcome, ("≈", WARN))
        return glyph, tone, told
    if step.closed:
        return "■", DIM, "ended the run" if step.proposal.lever == "stop" else "broken off"
    return "…", DIM, "under way"
