"""Rows of the rollout list, and which episodes are wanted in it."""

from __future__ import annotations

from dataclasses import replace

from sia_tui.core.state import State
from sia_tui.store.browse import Outcome, Part, Wanted
from sia_tui.store.reader import EpisodeRow
from sia_tui.tui.pieces import BAD, DIM, GOOD, WARN, Line, cells, fit, line, thousands
from sia_tui.tui.view import clock

PARTS: tuple[Part | None, ...] = (None, "train", "dev", "training")
OUTCOMES: tuple[Outcome | None, ...] = (None, "right", "wrong", "error")


def origin(state: State, row: EpisodeRow) -> str:
    """What an episode was made for: a generation, a place in a training, or a preview."""
    if row.proposal is not None:
        at = f" {row.step}" if row.purpose != "pilot" else ""
        return f"{(row.purpose or 'training').replace('_', ' ')}{at}"
    found = next((generation.index for generation in state.generations if generation.key == row.key), None)
    return "preview" if found is None else f"g{found}"


def heading(width: int) -> Line:
    case, failure = _widths(width)
    names = f"{'time':<8} {'made for':<11} {'split':<6} {'case':<{case}} {'reward':<{failure + 2}} {'tokens':>6} {'s':>6}  answer"
    return line((names[:width], DIM))


def rolled(state: State, row: EpisodeRow, width: int) -> Line:
    case, failed = _widths(width)
    right = row.failure is None
    tone = GOOD if right else BAD
    wide = f"{clock(row.at)} {fit(origin(state, row), 11)} {row.split:<6} {fit(row.case_id, case)} "
    numbers = f" {thousands(row.tokens):>6} {row.seconds:>6.2f}  "
    source = "" if row.source == "policy" else "⚙ "
    room = width - cells(wide) - 2 - failed - cells(numbers) - len(source)
    return line(
        (wide, DIM),
        ("✓ " if right else "✗ ", tone),
        (fit("right" if right else row.failure or "", failed), tone),
        (numbers, DIM),
        (source, WARN),
        fit(row.answer or "–", max(4, room)),
    )


def _widths(width: int) -> tuple[int, int]:
    """Cells of the case and of the failure."""
    return (16, 14) if width >= 96 else (10, 10)


def next_part(wanted: Wanted) -> Wanted:
    return replace(wanted, part=PARTS[(PARTS.index(wanted.part) + 1) % len(PARTS)])


def next_outcome(wanted: Wanted) -> Wanted:
    return replace(wanted, outcome=OUTCOMES[(OUTCOMES.index(wanted.outcome) + 1) % len(OUTCOMES)])


def next_generation(wanted: Wanted, state: State) -> Wanted:
    """All, then the newest generation, then the ones before it."""
    keys = (None, *dict.fromkeys(generation.key for generation in reversed(state.generations)))
    at = keys.index(wanted.key) if wanted.key in keys else 0
    return replace(wanted, key=keys[(at + 1) % len(keys)])


def filters(wanted: Wanted, state: State, count: int) -> Line:
    """What the list is narrowed to, and by which keys."""
    name = next((f"g{generation.index}" for generation in state.generations if generation.key == wanted.key), "all")
    said = [
        ("s", "split", wanted.part or "all"),
        ("o", "outcome", wanted.outcome or "all"),
        ("v", "generation", name),
        ("/", "text", wanted.text or "–"),
    ]
    pieces: list[tuple[str, str]] = [(f"{thousands(count)} rollouts  ", "bold")]
    for key, what, now in said:
        pieces += [
            (f" {key} ", "reverse"),
            (f" {what} ", DIM),
            (f"{fit(now, 12).rstrip()}   ", WARN if now not in ("all", "–") else ""),
        ]
    sealed = [("hidden and test stay sealed", DIM)] if wanted.sealed else []
    return line(*pieces, *sealed)
