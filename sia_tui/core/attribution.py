"""Which lever earned a gain: old and new harness by old and new weights, on the same dev cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sia_tui.core import events as ev
from sia_tui.core.evidence import Attribution, Cell
from sia_tui.core.state import Generation, State, Step
from sia_tui.core.stats import Gain, paired_gain
from sia_tui.core.telling import percent, points

Rewards = Mapping[str, float]
"""{case id: reward} over dev."""


@dataclass(frozen=True)
class Mix:
    """The harness of one generation with the weights of another."""

    harness: int
    weights: int


@dataclass(frozen=True)
class Pair:
    """A step of the harness and one of the weights, kept one right after the other: three cells of the four were measured
    on the way. Generations by their index."""

    old: int
    between: int
    new: int
    harness_first: bool

    @property
    def missing(self) -> Mix:
        """The second lever without the first."""
        return Mix(self.old, self.new) if self.harness_first else Mix(self.new, self.old)


def attribution(state: State, step: Step) -> Attribution | None:
    """Of a step of both levers once its candidates are measured; of the second step of a kept pair once the run has
    measured its fourth cell."""
    if step.proposal.lever != "both":
        return next((found.table for found in state.tables if found.new in step.candidates), None)
    if not step.measures:
        return None
    generations = [state.generations[index] for index in step.candidates]
    parent = generations[0].parent
    assert parent is not None
    found = {made.lever: _cell_of(step.measure_of(made.index)) for made in generations}
    old = state.generations[parent].results["dev"].mean
    return Attribution(old, found.get("harness"), found.get("weights"), found.get("both"))


def pairs(state: State) -> tuple[Pair, ...]:
    """Every kept pair of the two levers, oldest first."""
    found = []
    for new in state.generations:
        between = _kept_parent(state, new)
        old = _kept_parent(state, between) if between else None
        if between and old and {new.lever, between.lever} == {"harness", "weights"}:
            found.append(Pair(old.index, between.index, new.index, between.lever == "harness"))
    return tuple(found)


def _kept_parent(state: State, generation: Generation) -> Generation | None:
    if not generation.kept or generation.parent is None:
        return None
    parent = state.generations[generation.parent]
    return parent if parent.kept and "dev" in parent.results else None


def apart(pair: Pair, old: Rewards, between: Rewards, new: Rewards, missing: Rewards | None) -> Attribution:
    """The table of a kept pair. Its intervals hold all at once: three differences and their interaction.

    Raises ValueError for rewards that are not over the same cases.
    """
    first, both = (paired_gain(old, found, looks=4) for found in (between, new))
    second = interaction = None
    if missing is not None:
        second = paired_gain(old, missing, looks=4)
        alone = {case: between[case] + missing[case] for case in old}
        interaction = paired_gain(alone, {case: new[case] + old[case] for case in old}, looks=4)
    levers = (first, second) if pair.harness_first else (second, first)
    harness, weights, both_cell, beyond = (_cell(found) for found in (*levers, both, interaction))
    mean = sum(old.values()) / len(old)
    return Attribution(mean, harness, weights, both_cell, beyond, "not measured")


def told(found: Attribution) -> list[str]:
    """A small table, and what it says."""
    rows = [
        ("dev", "old weights", "new weights"),
        ("old harness", percent(found.old), _said(found, found.weights)),
        ("new harness", _said(found, found.harness), _said(found, found.both)),
    ]
    lines = [f"{name:<12} {old:<28} {new}".rstrip() for name, old, new in rows]
    if found.together is not None:
        beyond = found.interaction.told if found.interaction else points(found.together)
        lines.append(f"together {beyond} beyond the sum of each alone")
    return lines


def _said(found: Attribution, cell: Cell | None) -> str:
    return found.absent if cell is None else f"{percent(found.old + cell.gain)} {cell.told}"


def _cell_of(found: ev.Measured | None) -> Cell | None:
    return None if found is None else Cell(found.gain, found.lo, found.hi)


def _cell(found: Gain | None) -> Cell | None:
    return None if found is None else Cell(found.mean, found.lo, found.hi)
