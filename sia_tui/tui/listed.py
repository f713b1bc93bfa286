"""A workspace's runs, a line each, and what is to be said of the one under the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sia_tui.core.state import State
from sia_tui.core.telling import points
from sia_tui.tui.budget import left
from sia_tui.tui.heading import GLYPHS
from sia_tui.tui.pieces import ACCENT, BAD, DIM, GOOD, HEAD, STRONG, WARN, Line, Piece, cells, fit, line, wrap
from sia_tui.tui.scores import LETTERS, best_null, dev_points
from sia_tui.tui.sparks import spark
from sia_tui.tui.view import View, age_s, ago
from sia_tui.tui.waited import held, waited

WIDE, VERY_WIDE = 100, 140
_STATUS, _RUN, _AT, _SPARK, _NULL = 15, 18, 11, 8, 10
_LEAST = 12
"""Cells in which something can be said."""


def run_line(view: View, now: datetime, width: int, marked: bool = False) -> Line:
    """Whose turn it is stands first; what does not fit is said below the list."""
    status, style = _status(view)
    if view.mark == "waiting" and view.error is None and (since := waited(view, now)):
        status = f"▲ waits {since}"
    waits = view.state.waiting is not None and not view.over
    pieces: list[Piece] = [
        ("✓" if marked else " ", ACCENT),
        (fit(status, _STATUS), style),
        (fit(view.run, _run(width)), STRONG if waits else ""),
        *([(f" {fit(view.state.task, 15)}", DIM)] if width >= VERY_WIDE else []),
        f" {fit(_at(view), _AT - 1)}",
        # Where there is no room for both, what is asked is more to whoever decides what to open.
        *([] if waits and width < WIDE else _scores(view.state, _spark(width))),
        (" ● " if view.alive else "   ", GOOD),
    ]
    room = width - sum(cells(piece if isinstance(piece, str) else piece[0]) for piece in pieces)
    asks, rest = (_asks(view), _left(view)) if room >= _LEAST else (_asks(view)[:1], "")
    last = (f"▲ {asks}", f"bold {WARN}") if waits else (rest, DIM)
    return line(*pieces, (fit(last[0], max(0, room)), last[1]))


def sought(view: View, wanted: str) -> bool:
    """Whether every word stands in the run's name, its task or its status, whatever its case."""
    said = f"{view.run} {view.state.task} {_status(view)[0]}".casefold()
    return all(word in said for word in wanted.casefold().split())


def _status(view: View) -> tuple[str, str]:
    return GLYPHS[view.mark] if view.error is None else ("? unreadable", BAD)


def heading_line(width: int) -> Line:
    """The columns' names."""
    names = (
        f"  {'status':<{_STATUS}}{'run':<{_run(width)}}{' task':<16}"
        if width >= VERY_WIDE
        else (f"  {'status':<{_STATUS}}{'run':<{_run(width)}}")
    )
    names += f"{' serves':<{_AT}}{' kept':<{_spark(width)}}  dev   null eng waits for you, or left"
    return line((names[:width], DIM))


def _run(width: int) -> int:
    return _RUN if width < WIDE else _RUN + 8


def _spark(width: int) -> int:
    return _SPARK if width < WIDE else _SPARK + 4


def about(view: View, now: datetime, width: int, resumes: str) -> list[Line]:
    """What waits, what may be spent, and when something last happened. `resumes` is the key that does."""
    state = view.state
    if view.error is not None:
        return [line((fit(f"cannot be read: {view.error}", width), BAD))]
    lines = [
        line((fit(view.run, min(width, 40)).rstrip(), HEAD), (f" · {state.task} · {_when(state, now)}", DIM)),
        line(("LEFT      ", HEAD), fit(_left(view) or "–", max(4, width - 10))),
    ]
    if state.waiting is not None and (step := state.current) is not None:
        asked = f"{state.waiting.id} {state.waiting.hash[:12]} · {step.proposal.lever}: {step.proposal.title}"
        asked = " · ".join(filter(None, (waited(view, now), held(view, now), asked)))
        lines.append(line(("▲ WAITS   ", f"bold {WARN}"), (fit(asked, max(4, width - 10)), WARN)))
    elif state.stop_reason:
        lines += [line(row) for row in wrap(f"{state.status}: {state.stop_reason}", width, 2)]
    elif view.progress is not None and view.alive:
        count = f" {view.progress.done}/{view.progress.total}" if view.progress.total else ""
        lines.append(line(("NOW       ", HEAD), fit(f"{view.progress.phase}{count}", max(4, width - 10))))
    if not view.alive and not view.over:
        none = (f"none: {resumes}, or sia-tui resume {view.run}", WARN)
        lines.append(line(("ENGINE    ", HEAD), ("starting", GOOD) if view.starting else none))
    return lines


def waiting(views: Sequence[View]) -> frozenset[tuple[str, str]]:
    """Gates that wait for a person: run and hash."""
    return frozenset(
        (view.run, view.state.waiting.hash) for view in views if view.asks and view.state.waiting is not None
    )


def _at(view: View) -> str:
    """Which generation serves, and how many steps were made of those allowed."""
    made, state = len(view.state.made), view.state
    best = "–" if state.incumbent is None else f"g{state.incumbent}"
    return f"{best} · {made}" + (f"/{view.config.budget.steps}" if view.config else "")


def _scores(state: State, room: int) -> list[Piece]:
    """Kept generations on dev, the incumbent's mean, and how it stands to the null that is hardest to beat."""
    kept = [point.mean for point in dev_points(state) if point.kept]
    best, null = state.best.results.get("dev") if state.best else None, best_null(state)
    pieces: list[Piece] = [(f" {fit(spark(kept, room - 2), room - 1)}", "$accent")]
    pieces.append((f"{100 * best.mean:5.1f}" if best else "    –", STRONG if best else DIM))
    if null is None or best is None:
        return [*pieces, (" " * (_NULL - 1), DIM)]
    ahead = best.mean > null[1]
    return [*pieces, (f" {'>' if ahead else '≤'} {100 * null[1]:5.1f} ", GOOD if ahead else DIM)]


def _left(view: View) -> str:
    """Of every limit of the budget."""
    return "" if view.over else left(view.state, view.config)


def _asks(view: View) -> str:
    step = view.state.current
    if view.state.waiting is None or step is None:
        return ""
    gain = step.proposal.predicted_gain
    return f"{LETTERS[step.proposal.lever]}{f' {points(gain)}' if gain is not None else ''} {step.proposal.title}"


def _when(state: State, now: datetime) -> str:
    return f"last seen at work {ago(age_s(state.last_at, now))} ago" if state.last_at else "not begun"
