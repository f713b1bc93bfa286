"""A plan as a form: its fields with their ranges, against the last plan, and what it should take. Knows no terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from sia_tui.core.costs import rehearsed
from sia_tui.core.plans import ALGORITHMS, RANGES, TARGETS, Pilot, TrainPlan, estimate
from sia_tui.tui.pieces import minutes
from sia_tui.tui.plan_words import PPO, label

_NOT_HERE = ("serve_on", "train_on", "seed")
"""Where it runs is the config's."""
_WORDS: Mapping[str, tuple[str, ...]] = {"algorithm": ALGORITHMS, "targets": TARGETS}


@dataclass(frozen=True)
class Field:
    """A line of a form."""

    name: str
    label: str
    value: str
    hint: str
    """What it may be, and what it was."""


def plan_fields(plan: TrainPlan, before: TrainPlan | None) -> tuple[Field, ...]:
    """Those that a person may change."""
    names = [item.name for item in fields(plan) if item.name not in _NOT_HERE]
    return tuple(
        Field(name, label(name), shown(getattr(plan, name)), _hint(name, before))
        for name in names
        if plan.algorithm == "ppo" or name not in PPO
    )


def shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _hint(name: str, before: TrainPlan | None) -> str:
    was = "" if before is None else f", last {shown(getattr(before, name))}"
    return f"{_range(name)}{was}"


def _range(name: str) -> str:
    if name in _WORDS:
        return " ".join(_WORDS[name])
    low, high = RANGES[name]
    return f"{_plain(low)} … {_plain(high)}"


def _plain(limit: float) -> str:
    return f"{limit:,.0f}" if limit >= 1000 else f"{limit:g}"


def changed(plan: TrainPlan, values: Mapping[str, str]) -> dict[str, Any]:
    """The fields that differ. Raises ValueError, in one line with its range, for a value that cannot be."""
    found = {name: _read(plan, name, text.strip()) for name, text in values.items()}
    replace(plan, **found)
    return {name: value for name, value in found.items() if shown(value) != shown(getattr(plan, name))}


def _read(plan: TrainPlan, name: str, text: str) -> Any:
    if name in _WORDS:
        return text
    kind = int if isinstance(getattr(plan, name), int) else float
    try:
        value = kind(text)
    except ValueError:
        number = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name} must be {number} in {_range(name)}, got {text or 'nothing'}") from None
    low, high = RANGES[name]
    if not low <= value <= high:
        raise ValueError(f"{name} must lie in {_range(name)}, got {text}")
    return value


def taking(plan: TrainPlan, proposed: TrainPlan, pilot: Pilot | None) -> str:
    """What the plan should take, by the pilot of the proposed one; memory is worked out again once it is sent."""
    if pilot is None:
        return "no pilot was made: what it takes is not known"
    seen = rehearsed(proposed, pilot)
    step_s = seen.step_of(plan) if seen else None
    found = estimate(plan, pilot, step_s or 0.0)
    seconds = min(found.seconds, plan.stop_s) if plan.stop_s else found.seconds
    more = "" if step_s is not None else " + optimizer steps, which were not measured"
    held = (
        f"trainer {seen.peak / (1 << 30):.2g} GiB at rank {proposed.rank}" if seen and seen.peak else "memory unknown"
    )
    return f"takes {minutes(seconds)}{more} · {found.rollouts:,} rollouts · {found.tokens:,.0f} tokens · {held}"
