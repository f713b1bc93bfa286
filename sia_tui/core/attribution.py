"""Which lever earned a gain: old and new harness by old and new weights, on the same dev cases."""

from __future__ import annotations

from dataclasses import dataclass

from sia_tui.core import events as ev
from sia_tui.core.state import State, Step
from sia_tui.core.telling import percent, points


@dataclass(frozen=True)
class Attribution:
    """The four cells. `old` is the incumbent's dev mean; the other three are paired with it, none where its code did not
    begin."""

    old: float
    harness: ev.Measured | None
    weights: ev.Measured | None
    both: ev.Measured | None

    @property
    def together(self) -> float | None:
        """Gain of both beyond the sum of what each brings alone (their interaction), in reward units."""
        if self.harness is None or self.weights is None or self.both is None:
            return None
        return self.both.gain - self.harness.gain - self.weights.gain


def attribution(state: State, step: Step) -> Attribution | None:
    """None for a step of one lever, and until its candidates are measured."""
    if step.proposal.lever != "both" or not step.measures:
        return None
    generations = [state.generations[index] for index in step.candidates]
    parent = generations[0].parent
    assert parent is not None
    found = {made.lever: step.measure_of(made.index) for made in generations}
    old = state.generations[parent].results["dev"].mean
    return Attribution(old, found.get("harness"), found.get("weights"), found.get("both"))


def told(found: Attribution) -> list[str]:
    """A small table, and what it says."""
    rows = [
        ("dev", "old weights", "new weights"),
        ("old harness", percent(found.old), _cell(found.old, found.weights)),
        ("new harness", _cell(found.old, found.harness), _cell(found.old, found.both)),
    ]
    lines = [f"{name:<12} {old:<28} {new}".rstrip() for name, old, new in rows]
    if found.together is not None:
        lines.append(f"together {points(found.together)} beyond the sum of each alone")
    return lines


def _cell(old: float, found: ev.Measured | None) -> str:
    if found is None:
        return "does not begin"
    return f"{percent(old + found.gain)} {points(found.gain)} [{points(found.lo)}, {points(found.hi)}]"
