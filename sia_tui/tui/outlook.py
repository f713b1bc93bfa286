"""The last lines of the live pane: what may be spent, what was agreed, what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sia_tui.core import loop
from sia_tui.core.clock import when
from sia_tui.core.digest import Digest
from sia_tui.core.digest import told as digested
from sia_tui.core.machine import told
from sia_tui.core.meantime import Attribute, Gather, Trace
from sia_tui.core.standing import left, spent
from sia_tui.tui import budget
from sia_tui.tui.nodes import summary_lines, usage
from sia_tui.tui.pieces import (
    BAD,
    DIM,
    GOOD,
    HEAD,
    KEYS,
    STRONG,
    WARN,
    Line,
    bar,
    cells,
    fit,
    line,
    minutes,
    thousands,
    wrap,
)
from sia_tui.tui.view import View

if TYPE_CHECKING:
    from sia_tui.config import RunConfig

_ROOM = 10
_GAP = "  "
MOST = 2
"""Lines of what was agreed, and of what comes next."""


def outlook_lines(view: View, now: datetime, width: int, keys: Mapping[str, str] = KEYS) -> list[Line]:
    return [
        *_machine(view, now, width),
        *summary_lines(view, now, width),
        *_agents(view, width, keys["app.dialogue"]),
        *_budget(view, width),
        *_wrapped("CONTRACT", agreed(view, keys), "", width),
        *_wrapped("NEXT", following(view, keys), WARN if view.mark == "waiting" else "", width),
    ]


def _wrapped(name: str, said: str, style: str, width: int) -> list[Line]:
    rows = wrap(said, max(4, width - _ROOM), MOST)
    return [line((f"{name if number == 0 else '':<{_ROOM}}", HEAD), (row, style)) for number, row in enumerate(rows)]


def away_line(found: Digest, now: datetime, width: int, keys: Mapping[str, str] = KEYS) -> Line:
    """Over everything else, until the person has asked why."""
    span = f"{when(found.since, now)} → {when(found.until, now)} · " if found.since and found.until else ""
    why = f" {keys['app.why']} why"
    return line(("AWAY      ", HEAD), fit(f"{span}{digested(found)}", max(4, width - _ROOM - len(why))), (why, WARN))


def _machine(view: View, now: datetime, width: int) -> list[Line]:
    """One line while an engine tells it; an old reading is worth nothing."""
    found = usage(view, now)
    return [] if found is None else [line(("MACHINE   ", HEAD), fit(told(found), max(4, width - _ROOM)))]


def _agents(view: View, width: int, asks: str) -> list[Line]:
    """What models that play agents have cost, and every host that receives anything; nothing where none does."""
    cost, hosts = view.state.cost, {to.host: to.local for to in view.config.egress} if view.config else {}
    if not cost.calls and not hosts:
        return []
    spent = f"{cost.calls} replies, {budget.count(cost.agent_tokens)} tok, {cost.money:.2f} $ ({asks}: what was said)"
    sent = ", ".join(f"{host}{' (here)' if local else ''}" for host, local in hosts.items())
    return [
        line(("MODELS    ", HEAD), fit(f"{spent}   {f'data goes to {sent}' if sent else ''}", max(4, width - _ROOM)))
    ]


def _budget(view: View, width: int) -> list[Line]:
    """A bar over the limit that is nearest, which stands first."""
    cost, config = view.state.cost, view.config
    episodes = f"{thousands(cost.episodes)} episodes"
    if config is None:
        known = (
            f"{len(view.state.made)} steps  wall {minutes(cost.wall_s)}  {budget.count(cost.tokens)} tok  {episodes}"
        )
        return [line(("BUDGET    ", HEAD), fit(known, max(4, width - _ROOM)))]
    found, room = budget.spent(view.state, config), 20 if width >= 100 else 8
    share, indent = found[0].share or 0.0, _ROOM + room + 1
    full = bar(share, room)
    first, *more = _rows([*(one.told for one in found), episodes], max(4, width - indent))
    nearest, *others = first
    return [
        line(
            ("BUDGET    ", HEAD),
            (full, BAD if share >= 1 else GOOD),
            ("─" * (room - len(full)), DIM),
            (f" {nearest}", STRONG),
            *(f"{_GAP}{one}" for one in others),
        ),
        *(line(f"{'':<{indent}}{_GAP.join(row)}") for row in more),
    ]


def _rows(parts: Sequence[str], room: int) -> list[list[str]]:
    """As many on a row as fit, none of them broken."""
    rows: list[list[str]] = [[]]
    for part in parts:
        if rows[-1] and cells(_GAP.join([*rows[-1], part])) > room:
            rows.append([])
        rows[-1].append(part)
    return rows


_INDECISIVE = {"ask": "indecisive: asks you", "keep": "indecisive: kept", "roll_back": "indecisive: rolled back"}


def agreed(view: View, keys: Mapping[str, str] = KEYS) -> str:
    """A person's standing yes and what is left of it, else what the config says."""
    standing = None if view.over else view.state.contract
    if standing is None:
        ended = view.state.contract_ended
        return (f"the standing yes ended: {ended} · " if ended else "") + contract(view.config)
    ends = "" if view.recorded else f" · {keys['app.end-contract']} ends it"
    if why := spent(view.state, standing):
        return f"{standing.by}'s standing yes ends at the next gate: {why}"
    return f"{standing.by} says yes to {left(view.state, standing)} · red light, alarm, doubt: ends{ends}"


def contract(config: RunConfig | None) -> str:
    """Who answers at the gate, and the keep rule."""
    if config is None:
        return "config.yaml cannot be read"
    asks = "every step asks you" if config.gate.policy == "ask" else "the automatic gate answers"
    return (
        f"{asks} · dev better: kept · worse: rolled back · {_INDECISIVE[config.gate.indecisive]} · red light: refused"
    )


def following(view: View, keys: Mapping[str, str] = KEYS) -> str:
    """What comes after what is under way, and what the person can press."""
    if view.over:
        return f"nothing: the run is over; {keys['app.history']} shows how it went"
    if not view.alive and (view.starting or not view.known):
        return "an engine is starting" if view.starting else "…"
    if not view.alive:
        asked = f"{keys['app.gate']} answers the gate; " if view.state.waiting else ""
        return f"{asked}{keys['app.start']}, or sia-tui resume {view.run}, starts an engine and goes on from here"
    if view.state.status == "paused":
        return "paused" if view.recorded else f"paused; {keys['app.pause']} resumes it"
    if view.config is None:
        pauses = f"{keys['app.pause']} pauses: what is under way is made again later"
        return "config.yaml cannot be read" if view.recorded else pauses
    return _after(loop.next_action(view.state, view.config.rules), view, view.config, keys["app.gate"])


def _after(action: loop.Action, view: View, config: RunConfig, opens: str) -> str:
    gate = "gate: you are asked" if config.gate.policy == "ask" else "the automatic gate answers"
    match action:
        case loop.AwaitVerdict():
            return (
                f"the answer that was given: {opens} shows it"
                if view.recorded
                else f"your verdict: {opens} opens the gate"
            )
        case loop.RefuseEvaluator():
            return "nothing: a row of the evaluator fails"
        case loop.PrepareTask() | loop.CheckEvaluator():
            return "g0, the first harness, is measured"
        case loop.MeasureBaselines() | loop.PreparePolicy() | loop.WriteFirst() | loop.PlantSeed():
            return "g0, the first harness, is measured"
        case loop.Evaluate(split="test"):
            return "the null baselines on test, then the end"
        case loop.Evaluate(generation=index) if index != view.state.incumbent:
            return f"g{index} against g{view.state.incumbent}, case by case: kept or rolled back"
        case loop.Evaluate():
            return "the Feedback-Agent reads the trajectories and proposes a step"
        case loop.Propose():
            return "checks, then a preview or a pilot, then the gate"
        case loop.Check() | loop.RunPreview() | loop.RunPilot() | loop.AskCritic() | loop.OpenGate():
            return gate
        case Gather():
            return "the gate is put again, with more evidence"
        case Attribute() | Trace():
            return "the Feedback-Agent reads the trajectories and proposes a step"
        case loop.Train() | loop.Apply():
            return f"the candidate is measured on dev against g{view.state.incumbent}"
        case loop.Compare() | loop.Decide() | loop.Refuse():
            return "the next step is proposed"
        case loop.Finish() | loop.OpenTest() | loop.TestBaselines() | loop.End() | loop.Ended():
            return "test is opened once, then the end"
