"""Rows of the rollout list, and which episodes are wanted in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import zip_longest

from sia_tui.core.clock import LONGEST, TODAY, when
from sia_tui.core.state import State
from sia_tui.core.text import one_line
from sia_tui.store.browse import Outcome, Part, Wanted
from sia_tui.store.reader import EpisodeRow
from sia_tui.tui.pieces import BAD, DIM, GOOD, WARN, Line, Piece, cells, fit, line, thousands

PARTS: tuple[Part | None, ...] = (None, "train", "dev", "training")
NAMES = ("split", "outcome", "generation", "score, failure", "text")
SHORT = ("split", "outcome", "gen", "score", "text")
OUTCOMES: tuple[Outcome | None, ...] = (None, "right", "wrong", "error")


def origin(state: State, row: EpisodeRow) -> str:
    """What an episode was made for: a generation, a place in a training, or a preview."""
    if row.proposal is not None:
        at = f" {row.step}" if row.purpose != "pilot" else ""
        return f"{(row.purpose or 'training').replace('_', ' ')}{at}"
    found = next((generation.index for generation in state.generations if generation.key == row.key), None)
    return "preview" if found is None else f"g{found}"


def heading(state: State, width: int, now: datetime) -> Line:
    case, failure = _widths(width)
    made = f"{'time':<{_time(state, now)}} {'made for':<11} {'split':<6} {'case':<{case}}"
    names = f"{made} {'reward':<{failure + 2}} {'tokens':>6} {'s':>6}  answer"
    return line((names[:width], DIM))


def rolled(state: State, row: EpisodeRow, width: int, now: datetime) -> Line:
    case, failed = _widths(width)
    right = row.failure is None
    tone = GOOD if right else BAD
    at = fit(when(row.at, now), _time(state, now))
    wide = f"{at} {fit(origin(state, row), 11)} {row.split:<6} {fit(row.case_id, case)} "
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


def _time(state: State, now: datetime) -> int:
    """Cells of the time: in a run that began today no row names its day."""
    return TODAY if len(when(state.created_at, now)) <= TODAY else LONGEST


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


def filters(wanted: Wanted, state: State, count: int | None, keys: Mapping[str, str], width: int) -> Line:
    """What the list is narrowed to, and by which keys; `count` is None while that is read. With less room names are shorter,
    and last only what is set is said."""
    sealed = [("  hidden and test stay sealed", DIM)] if wanted.sealed else []
    long, short = (list(_filters(wanted, state, count, keys, names)) for names in (NAMES, SHORT))
    for pieces in ([*long, *sealed], long, short):
        if cells((said := line(*pieces)).plain) <= width:
            return said
    return line(*_filters(wanted, state, count, keys, ()))


def _filters(
    wanted: Wanted, state: State, count: int | None, keys: Mapping[str, str], names: Sequence[str]
) -> Iterator[Piece]:
    generation = next((f"g{one.index}" for one in state.generations if one.key == wanted.key), "another")
    yield (("reading …" if count is None else f"{thousands(count)}{' rollouts' if names else ''}") + " ", "bold")
    for id, now, name in zip_longest(
        ("rollouts.part", "rollouts.outcome", "rollouts.generation", "rollouts.narrow", "rollouts.search"),
        (wanted.part, wanted.outcome, generation if wanted.key is not None else "", narrowed(wanted), wanted.text),
        names,
    ):
        yield (f" {keys[id]} ", "reverse")
        if now:
            yield (f" {fit(now, 30 if names is NAMES else 22).rstrip()} ", f"bold {WARN}")
        elif name:
            yield (f" {name} ", DIM)
    if wanted != wanted.everything:
        yield from ((f" {keys['rollouts.clear']} ", "reverse"), (f" all{' again' if names is NAMES else ''} ", WARN))


def narrowed(wanted: Wanted) -> str:
    """`0.2 to 0.5 · timeout`; nothing where neither is set."""
    least, most = ("" if bound is None else f"{bound:g}" for bound in (wanted.least, wanted.most))
    score = f"{least} to {most}" if least and most else f"from {least}" if least else f"up to {most}" if most else ""
    return " · ".join(part for part in (score, wanted.failure or "") if part)


def bounds(least: str, most: str) -> tuple[float | None, float | None]:
    """What a person typed as the rewards' bounds, where they did. Raises ValueError, in one line."""
    low, high = _bound("at least", least), _bound("at most", most)
    if low is not None and high is not None and low > high:
        raise ValueError(f"no reward is at least {low:g} and at most {high:g}")
    return low, high


def _bound(name: str, typed: str) -> float | None:
    if not typed.strip():
        return None
    try:
        value = float(typed)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise ValueError(f"{name}: {one_line(typed, 20)} is no number; such as 0.5, or nothing for any")
    return value
