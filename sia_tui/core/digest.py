"""What happened to a run between two moments, for whoever was away: decided, why, at what cost, and what waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sia_tui.core.clock import when
from sia_tui.core.events import Alarmed
from sia_tui.core.gates import Gate
from sia_tui.core.proposals import Lever
from sia_tui.core.spent import Cost
from sia_tui.core.state import State, Step
from sia_tui.core.telling import points
from sia_tui.core.text import one_line


@dataclass(frozen=True)
class Decision:
    """A step that was settled."""

    proposal: str
    lever: Lever
    title: str
    fate: str
    """`kept`, `rolled back` or `refused`."""
    by: str
    """Who answered at its gate or refused it; empty where nobody was asked."""
    why: str
    gain: float | None
    """On dev, paired, with its 95 % interval; None of what was not measured."""
    lo: float | None
    hi: float | None
    worked_s: float | None
    """Working time from its proposal to its end."""
    reason: str = ""
    """For which it was proposed."""
    notes: tuple[str, ...] = ()
    """What was said with the verdicts on it, each with whose it was."""
    gpu_s: float = 0.0
    tokens: int = 0
    money: float = 0.0
    """US dollars of agents' models; nothing of the three where it is not known."""


@dataclass(frozen=True)
class Digest:
    run: str
    since: str | None
    """ISO 8601; None: the run's beginning."""
    until: str | None
    decided: tuple[Decision, ...]
    dev_from: float | None
    """Mean on dev of who served then, and of who serves now."""
    dev_to: float | None
    wall_s: float
    gpu_s: float
    """That time, for every GPU that the run had."""
    tokens: int
    episodes: int
    money: float
    """US dollars of agents' models."""
    alarms: tuple[Alarmed, ...]
    waiting: Gate | None
    at_work: str
    """The step under way; of an open gate, what it is about."""
    status: str
    reason: str

    @property
    def empty(self) -> bool:
        """Nothing that a person would need to be told."""
        return not (self.decided or self.alarms or self.waiting)

    def count(self, fate: str) -> int:
        return sum(decision.fate == fate for decision in self.decided)


def digest(before: State, after: State, tokens: int, episodes: int, costs: Mapping[str, Cost] | None = None) -> Digest:
    """`tokens` and `episodes` are those between the two: states that clients fold hold none of them. `costs`: of steps."""
    known = {step.id for step in before.made if _fate(before, step) is not None}
    decided = (
        _decision(after, step, (costs or {}).get(step.id, Cost())) for step in after.made if step.id not in known
    )
    step = after.current
    return Digest(
        after.run,
        before.last_at,
        after.last_at,
        tuple(found for found in decided if found is not None),
        _dev(before),
        _dev(after),
        max(0.0, after.cost.wall_s - before.cost.wall_s),
        max(0.0, after.cost.gpu_s - before.cost.gpu_s),
        tokens,
        episodes,
        after.cost.money - before.cost.money,
        after.alarms[len(before.alarms) :],
        after.waiting,
        f"{step.proposal.lever}: {step.proposal.title}" if step else "",
        "waiting" if after.waiting and after.status == "running" else after.status,
        after.stop_reason or "",
    )


def told(found: Digest) -> str:
    """In one line, without times: `3 decided: 1 kept, 2 rolled back · dev 48.4 → 51.4 · 12 min of work, …`."""
    fates = [f"{count} {fate}" for fate in ("kept", "rolled back", "refused") if (count := found.count(fate))]
    parts = [f"{len(found.decided)} decided" + (f": {', '.join(fates)}" if fates else "")]
    if found.alarms:
        parts.append(f"{len(found.alarms)} alarms")
    if found.dev_from != found.dev_to:
        parts.append(f"dev {_mean(found.dev_from)} → {_mean(found.dev_to)}")
    parts.append(_cost(found))
    if found.waiting:
        parts.append(f"▲ {found.waiting.id} waits")
    return " · ".join(parts)


def page(found: Digest, now: datetime | None = None) -> str:
    """A page of plain text; whoever shows it cleans it."""
    since = f"since {when(found.since, now)}" if found.since else "since its beginning"
    lines = [f"{found.run}, {since}: {told(found)}", f"now {found.status}{_more(found.reason)}", ""]
    for decision in found.decided:
        gain = "" if decision.gain is None else f"{points(decision.gain)} [{_within(decision)}]  "
        by = f" (gate: {decision.by})" if decision.by and decision.fate != "refused" else ""
        lines.append(f"{_GLYPHS[decision.fate]} {decision.fate} · {decision.lever}: {decision.title}")
        lines.append(f"      {gain}{decision.why or 'no reason was recorded'}{by}{_took(decision)}")
        lines += [f"      proposed because: {one_line(decision.reason, _MOST)}"] if decision.reason else []
        lines += [f"      {note}" for note in decision.notes if note not in decision.why]
    if not found.decided:
        lines.append("nothing was decided")
    if found.at_work and found.waiting is None:
        lines.append(f"… under way · {found.at_work}")
    lines += [f"! alarm: {alarm.kind}: {alarm.detail}" for alarm in found.alarms]
    lines += ["", f"cost: {_cost(found)}, {found.episodes:,} episodes"]
    if found.waiting is not None:
        gate, name = found.waiting, f"{found.run}/{found.waiting.id} --hash {found.waiting.hash[:12]}"
        question = "go ahead?" if gate.kind == "step" else "keep it?" if gate.kind == "keep" else gate.kind
        lines += ["", f"▲ {gate.id} waits: {found.at_work}: {question}"]
        lines += [
            "  the evidence: sia-tui pending",
            f"  sia-tui approve {name}",
            f"  sia-tui reject {name} --reason '…'",
        ]
    return "\n".join(" " * (len(line) - len(line.lstrip(" "))) + one_line(line, 400) for line in lines)


def data(found: Digest) -> dict[str, Any]:
    """For `--json`; gates by id and hash."""
    gate = found.waiting and {"gate": found.waiting.id, "hash": found.waiting.hash, "asks": found.at_work}
    return asdict(found) | {"waiting": gate}


_MOST = 120
"""Characters of what an agent may say at any length."""
_GLYPHS = {"kept": "✓", "rolled back": "✗", "refused": "–"}


def _fate(state: State, step: Step) -> str | None:
    """None while it is open."""
    if step.refused is not None:
        return "refused"
    made = [state.generations[index] for index in step.candidates]
    if any(generation.kept for generation in made):
        return "kept"
    return "rolled back" if made and all(generation.kept is False for generation in made) else None


def _decision(state: State, step: Step, cost: Cost) -> Decision | None:
    fate, found = _fate(state, step), step.measured
    if fate is None:
        return None
    made = [state.generations[index] for index in step.candidates]
    best = next((generation for generation in made if generation.kept), made[-1] if made else None)
    last = step.verdicts[-1] if step.verdicts else None
    by = step.refused.by if step.refused else last.by if last else ""
    why = ": ".join(filter(None, (step.refused.by, step.refused.reason))) if step.refused else best.why if best else ""
    gain, lo, hi = (found.gain, found.lo, found.hi) if found else (None, None, None)
    worked = None if step.ended_s is None else max(0.0, step.ended_s - step.began_s)
    notes = tuple(f"{said.by}: {said.note}" for said in step.verdicts if said.note)
    lever, title, reason = step.proposal.lever, step.proposal.title, step.proposal.reason
    settled = (fate, by, why, gain, lo, hi, worked, reason, notes, cost.gpu_s, cost.tokens, cost.money)
    return Decision(step.id, lever, title, *settled)


def _dev(state: State) -> float | None:
    found = state.best.results.get("dev") if state.best else None
    return found.mean if found else None


def _mean(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _within(decision: Decision) -> str:
    return f"{points(decision.lo or 0.0)}, {points(decision.hi or 0.0)}"


def _took(decision: Decision) -> str:
    if decision.worked_s is None:
        return ""
    tokens = f", {decision.tokens:,} tokens" if decision.tokens else ""
    return f" · {_time(decision.worked_s)}{_gpus(decision.gpu_s)}{tokens}{_money(decision.money)}"


def _cost(found: Digest) -> str:
    return f"{_time(found.wall_s)} of work{_gpus(found.gpu_s)}, {found.tokens:,} tokens{_money(found.money)}"


def _gpus(seconds: float) -> str:
    hours = seconds / 3600
    return f", {hours:.1f} GPU-h" if hours >= 1 else f", {hours:.1g} GPU-h" if hours else ""


def _money(dollars: float) -> str:
    return f", {dollars:.2f} $" if dollars >= 0.01 else f", {dollars:.1g} $" if dollars else ""


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _more(reason: str) -> str:
    return f": {reason}" if reason else ""
