"""What was tried and what came of it, a line each: generations, refused proposals, null baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sia_tui.core.events import Evaluated
from sia_tui.core.state import Generation, State, Step
from sia_tui.core.telling import points
from sia_tui.tui.lineage import Node, Rail, rails
from sia_tui.tui.past import FATES, UNBORN, Entry, mark
from sia_tui.tui.pieces import BAD, DIM, GOOD, STRONG, WARN, Line, Piece, fit, line

LETTERS = {"harness": "H", "weights": "W", "both": "B", "stop": "S", None: "·"}
AGREES, BELOW = ("●", GOOD), ("▼", BAD)
"""Of the audit, beside dev."""
NARROW = 50
"""Below so many cells the intervals give way to the titles."""
_BEFORE, _SPREAD, _AFTER, _STAGE = 7, 6, 6 + 2 + 16, 16


@dataclass(frozen=True)
class Dev:
    """A generation's place in the curve over generations."""

    index: int
    mean: float
    half: float
    kept: bool
    """Kept, or not decided yet."""


def score_lines(state: State, width: int) -> list[Line]:
    """Every step in order, refused ones too, with its line of descent; then test and the null baselines."""
    found = _entries(state)
    beside = _descent(_nodes(found, state))
    rows = [_row(state, entry, rail, width) for entry, rail in zip(found, beside, strict=True)]
    return [*rows, *_test(state, width), *_nulls(state, width)]


def _entries(state: State) -> list[Entry]:
    """As in the history, and the step under way."""
    found = [Entry(generation, None) for generation in state.generations if generation.proposal is None]
    for step in state.steps:
        found += [Entry(state.generations[index], step) for index in step.candidates] or [Entry(None, step)]
    return found


def _nodes(found: Sequence[Entry], state: State) -> tuple[Node, ...]:
    rows = {entry.generation.index: row for row, entry in enumerate(found) if entry.generation}
    parents = (entry.parent(state) for entry in found)
    return tuple(
        Node(None if parent is None else rows.get(parent), entry.lasting)
        for entry, parent in zip(found, parents, strict=True)
    )


@lru_cache(4)
def _descent(nodes: tuple[Node, ...]) -> list[Rail]:
    """Drawn anew only when a generation is new or was decided on: with hundreds of them it takes its time."""
    return rails(nodes)


def _row(state: State, entry: Entry, rail: Rail, width: int) -> Line:
    room, step = width - len(rail.before + rail.after), entry.step
    if entry.generation is not None:
        told = _generation(state, entry.generation, step, room)
    else:
        assert step is not None
        told = _unborn(step, room)
    return Line(((rail.before, DIM), told.pieces[0], (rail.after, DIM), *told.pieces[1:]))


def dev_points(state: State) -> tuple[Dev, ...]:
    """Generations measured on dev."""
    found = [(generation, generation.results.get("dev")) for generation in state.generations]
    return tuple(
        Dev(generation.index, result.mean, half(result), generation.kept is not False)
        for generation, result in found
        if result is not None
    )


def newest_row(state: State) -> int:
    """Which line is that of the newest step, or of the generation it made."""
    return (
        sum(max(1, len(step.candidates)) for step in state.steps)
        + sum(found.proposal is None for found in state.generations)
        - 1
    )


def best_null(state: State) -> tuple[str, float] | None:
    """The null baseline that is hardest to beat on dev."""
    dev = state.baselines_dev
    return max(dev.items(), key=lambda item: item[1]) if dev else None


def half(found: Evaluated) -> float:
    """Half the width of the 95 % interval."""
    return (found.hi - found.lo) / 2


def _generation(state: State, found: Generation, step: Step | None, width: int) -> Line:
    best = found.index == state.incumbent
    weight = STRONG if best else DIM if found.kept is False else ""
    return line(
        mark(Entry(found, step), state),
        (f"g{found.index:<3}", weight),
        (f"{LETTERS[found.lever]} ", DIM),
        (fit(step.proposal.title if step else state.beginning, _room(width)), weight),
        *_mean(found.results.get("dev"), width, weight),
        _hidden(found),
        _fate(state, found, step),
    )


def _room(width: int) -> int:
    """Cells left for the title."""
    return max(4, width - _BEFORE - _AFTER - (_SPREAD if width >= NARROW else 0))


def _mean(found: Evaluated | None, width: int, weight: str) -> list[Piece]:
    """The mean in points, with half its interval where there is room."""
    if found is None:
        return [("     …" if width < NARROW else "     …      ", DIM)]
    spread: list[Piece] = [(f" ±{100 * half(found):<4.1f}", DIM)] if width >= NARROW else []
    return [(f" {100 * found.mean:5.1f}", weight), *spread]


def _hidden(found: Generation) -> Piece:
    """Whether the audit agrees with dev: far below it means that dev was fitted."""
    dev, hidden = found.results.get("dev"), found.results.get("hidden")
    if dev is None or hidden is None:
        return "  "
    glyph, tone = AGREES if hidden.hi >= dev.lo else BELOW
    return f" {glyph}", tone


def _fate(state: State, found: Generation, step: Step | None) -> Piece:
    if found.index == state.incumbent:
        return "  serves", GOOD
    if found.kept is None:
        return ("  ▲ keep it?", WARN) if state.waiting else ("  … measuring", WARN)
    if found.kept:
        return "  ✓ kept", ""
    measured = step.measure_of(found.index) if step else None
    return f"  ✗ {points(measured.gain) if measured else 'back'}", DIM


def _unborn(step: Step, width: int) -> Line:
    """A proposal that is no generation: refused, or not yet one."""
    room = max(4, width - _BEFORE - _STAGE)
    lever, title = f"    {LETTERS[step.proposal.lever]} ", fit(step.proposal.title, room)
    if step.refused is not None:
        told = fit(f"✗ no: {step.refused.by}", _STAGE - 2)
        return line(UNBORN, (lever, DIM), (title, DIM), (f"  {told}", DIM))
    over = step.closed or step.amended is not None
    return line(UNBORN if over else FATES[None], (lever, DIM), title, (f"  {fit(_stage(step), _STAGE - 2)}", WARN))


def _stage(step: Step) -> str:
    if step.amended is not None:
        return "↷ amended"
    if step.closed:
        return "✗ broken off"
    if step.open_gate is not None:
        return "▲ at the gate"
    if step.training is not None and step.trained is None:
        return "… training"
    if step.lights is None:
        return "… checks"
    if step.proposal.patches and step.preview is None and not step.proposal.first:
        return "… preview"
    return "… pilot" if step.proposal.trains and step.pilot is None else "… critic"


def _test(state: State, width: int) -> list[Line]:
    opened = state.test_opened
    if opened is None or state.status not in ("done", "stopped", "failed"):
        return []
    found = state.generations[opened.generation].results.get("test")
    if found is None:
        return []
    title = fit(f"TEST of g{opened.generation}, n = {found.n}", _room(width))
    return [line(("  ■    ", GOOD), (title, STRONG), *_mean(found, width, STRONG), ("    opened once", DIM))]


def _nulls(state: State, width: int) -> list[Line]:
    best = best_null(state)
    ranked = sorted((state.baselines_dev or {}).items(), key=lambda item: -item[1])
    return [
        line(
            ("  ┄    ", DIM),
            (fit(f"null {name}", _room(width)), DIM),
            (f" {100 * mean:5.1f}", "" if best and name == best[0] else DIM),
        )
        for name, mean in ranked
    ]
