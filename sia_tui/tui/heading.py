"""The window's first line and its parting words, as styled pieces of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sia_tui.core.state import Step
from sia_tui.core.text import one_line
from sia_tui.store.reader import Answer
from sia_tui.tui.pieces import KEYS
from sia_tui.tui.view import Mark, View, age_s, ago
from sia_tui.tui.waited import held, waited

Piece = tuple[str, str]
"""Text, already cleaned, and the style it is shown in."""

STALE_S = 15.0
"""A living engine that has not reported for so long is said to be quiet."""

GLYPHS: dict[Mark, Piece] = {
    "running": ("● running", "$text-success"),
    "reading": ("… reading", "$foreground-muted"),
    "new": ("◌ not started", "$text-warning"),
    "starting": ("◌ starting", "$text-success"),
    "waiting": ("▲ GATE waits", "bold $text-warning"),
    "paused": ("⏸ paused", "bold $text-warning"),
    "done": ("■ done", "$text-success"),
    "stopped": ("■ stopped", "$text-warning"),
    "failed": ("✗ failed", "bold $text-error"),
    "interrupted": ("◌ interrupted", "$text-warning"),
}


def heading(view: View, now: datetime, here: str, keys: Mapping[str, str] = KEYS) -> tuple[list[Piece], list[Piece]]:
    """Left and right part of the header; `here` names the pane on show."""
    if view.error:
        # Room is short, and what it did before nobody knows to be so still.
        return [(f" {one_line(view.run, 20)} ", "bold")], [
            (f"cannot read: {one_line(view.error, 60)} ", "bold $text-error")
        ]
    left: list[Piece] = [
        (f" {one_line(view.run, 40)}", "bold"),
        (f" · {one_line(view.state.task or '…', 30)} · ", "$foreground-muted"),
    ]
    glyph, style = GLYPHS[view.mark]
    since = waited(view, now) if view.mark == "waiting" else ""
    left.append((f"{glyph} {since}" if since else glyph, style))
    if step := view.state.current:
        left.append((f" · {_step(view, step)}", ""))
    if view.state.waiting and here != "gate":
        left.append((f"  press {keys['app.gate']} ", "bold reverse"))
    return left, [*_held(view, now), *_isolation(view), *_engine(view, now, keys["app.start"])]


def home_heading(
    place: str, views: Sequence[View], waiting: int, keys: Mapping[str, str] = KEYS
) -> tuple[list[Piece], list[Piece]]:
    """Over the list of a workspace's runs."""
    left: list[Piece] = [(" sia-tui", "bold"), (f" · {one_line(place, 60)}", "$foreground-muted")]
    if waiting:
        wait = f"▲ {waiting} {'waits' if waiting == 1 else 'wait'} for you"
        left.append((f"  {wait} · press {keys['app.next-gate']} ", "bold reverse $text-warning"))
    alive = sum(view.alive for view in views)
    return left, [(f"{len(views)} run{'' if len(views) == 1 else 's'} · {alive} at work ", "$foreground-muted")]


def terminal_title(run: str, waiting: int) -> str:
    """What the terminal's tab says; a gate that waits stands first, where it is not cut off."""
    name = f"{one_line(run, 40)} · sia-tui" if run else "sia-tui"
    return f"● {waiting} waiting · {name}" if waiting else name


def _step(view: View, step: Step) -> str:
    if step.proposal.first:
        return "the first harness"
    number = len(view.state.made)
    limit = f"/{view.config.budget.steps}" if view.config else ""
    return f"step {number}{limit} {step.proposal.lever}"


def _held(view: View, now: datetime) -> list[Piece]:
    return [(f"{said} │ ", "$foreground-muted")] if (said := held(view, now)) else []


def _isolation(view: View) -> list[Piece]:
    engine = view.state.engine
    if engine is None:
        return []
    safe = engine.isolation != "none"
    return [
        (f"{engine.isolation if safe else '! NOT CONFINED'} │ ", "$foreground-muted" if safe else "bold $text-error")
    ]


def _engine(view: View, now: datetime, starts: str) -> list[Piece]:
    if not view.alive and not view.known:
        return [("", "")]
    if not view.alive and view.starting:
        return [("engine ◌ starting ", "$text-success")]
    if not view.alive:
        return [
            (
                "no engine " if view.over else f"no engine: {starts} starts it ",
                "$foreground-muted" if view.over else "bold $text-warning",
            )
        ]
    if view.progress is None:
        return [("engine ● ", "$text-success")]
    quiet = age_s(view.progress.beat_at, now)
    lively = quiet < STALE_S
    return [
        (f"engine {'●' if lively else '◌ quiet'} {ago(quiet)} ", "$text-success" if lively else "bold $text-warning")
    ]


def may_contract(view: View) -> bool:
    """Whether the engine waits for a person who leaves, and a standing yes could answer in their place."""
    return view.alive and view.state.waiting is not None and view.state.contract is None and not _ends(view)


def will_ask(view: View) -> bool:
    """Whether a person who leaves may be wanted at a gate, now or later, with no standing yes in their place."""
    state, config = view.state, view.config
    works = view.alive and state.status == "running" and state.contract is None and not _ends(view)
    asks = config is not None and config.gate.policy == "ask"
    return may_contract(view) or (works and asks)


def _ends(view: View) -> bool:
    """Whether nothing would follow a yes."""
    step = view.state.current
    return view.state.stop_asked is not None or (step is not None and step.proposal.lever == "stop")


def parting(view: View, sent: Answer | None = None) -> str:
    """What is printed when the window closes. `sent`: the answer to the verdict that was sent by that."""
    said = f"{'' if sent.ok else '✗ '}{one_line(sent.message, 400)}\n" if sent is not None else ""
    return f"{said}{_goes_on(view)}"


def _goes_on(view: View) -> str:
    waiting = view.state.waiting
    if waiting is not None and may_contract(view):
        said = f"sia-tui approve {view.run}/{waiting.id} --hash {waiting.hash[:12]} --until steps=3,wall=2h"
        back = f"come back with: sia-tui attach {view.run}"
        return f"{view.run}: the engine goes on and waits at {waiting.id}; {back}; or a yes with limits: {said}"
    if view.alive:
        return f"{view.run}: the engine goes on; come back with: sia-tui attach {view.run}"
    if view.over:
        return f"{view.run} is {view.state.status}; look at it with: sia-tui show {view.run}"
    return f"{view.run}: no engine is running; go on with: sia-tui resume {view.run}"
