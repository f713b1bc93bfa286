"""What was measured again beside a run, in words and as data: wherever the first measurement is shown, so is this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from sia_tui.cli.table import table
from sia_tui.core.attribution import pairs
from sia_tui.core.attribution import told as attributed
from sia_tui.core.comparing import Evidence
from sia_tui.core.state import State
from sia_tui.core.stats import Gain
from sia_tui.core.telling import percent, points
from sia_tui.store.again import Remeasures
from sia_tui.store.workspace import RunPaths


def remeasures(paths: RunPaths, state: State) -> Remeasures:
    return Remeasures(paths, state, seed_of(_text(paths)))


def config_of(paths: RunPaths) -> str:
    """What the run's config says, but for whom it calls: an address may be a key. Empty where none can be read."""
    import yaml

    told = _read(_text(paths))
    told.pop("notify", None)
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True) if told else ""


def seed_of(config: str) -> int:
    """A config's seed, though it may be too old for this version to read whole."""
    seed = _read(config).get("seed", 0)
    return seed if isinstance(seed, int) else 0


def _text(paths: RunPaths) -> str:
    return paths.config.read_text(encoding="utf-8", errors="replace") if paths.config.is_file() else ""


def _read(config: str) -> dict[str, Any]:
    import yaml

    try:
        told = yaml.safe_load(config)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def pairs_told(again: Remeasures, state: State) -> list[dict[str, Any]]:
    """The tables of kept pairs whose fourth cell was measured beside the run; those the run measured stand in its log."""
    told = {found.new for found in state.tables}
    found = [(pair, again.apart(pair)) for pair in pairs(state) if pair.new not in told] if again.all else []
    return [
        asdict(pair) | {"cells": asdict(apart), "table": attributed(apart)}
        for pair, apart in found
        if apart.together is not None
    ]


def evidences(again: Remeasures, state: State) -> list[Evidence]:
    """Of every candidate that was measured under more seeds than the run's."""
    twice = {one.harness for one in again.all if one.harness == one.weights}
    measured = [made.index for made in state.generations if made.index in twice and made.parent in twice]
    return [found for found in map(again.evidence, measured) if len(found.draws) > 1]


def evidence_lines(found: Evidence) -> list[str]:
    rows = [
        (str(draw.seed), _mean(draw.old.values()), _mean(draw.new.values()), gained(draw.gain)) for draw in found.draws
    ]
    rows[0] = (f"{rows[0][0]} (the run's)", *rows[0][1:])
    lines = [table(("seed", f"g{found.incumbent}", f"g{found.candidate}", "gain [95 %]"), rows)]
    lines.append(f"together, by case: {_bounds(found.pooled)}: {found.pooled.outcome}")
    if len(found.draws) > 1:
        moved = f"{found.moved} of {found.pooled.n} cases changed with the seed"
        still = "no reward changed with the seed: nothing is left to chance here, more seeds bring nothing"
        lines.append(moved if found.moved else still)
    return lines


def evidence_data(found: Evidence) -> dict[str, Any]:
    return {
        "candidate": found.candidate,
        "incumbent": found.incumbent,
        "draws": [{"seed": draw.seed, **gain_data(draw.gain)} for draw in found.draws],
        "pooled": gain_data(found.pooled),
        "moved": found.moved,
    }


def gain_data(gain: Gain) -> dict[str, Any]:
    sides = {"fixed": len(gain.fixed), "broke": len(gain.broke)}
    return {"mean": gain.mean, "ci95": [gain.lo, gain.hi], "n": gain.n, "outcome": gain.outcome, **sides}


def gain_told(told: Mapping[str, Any]) -> str:
    """Of `gain_data`."""
    bounds = f"{points(told['mean'])} [{points(told['ci95'][0])}, {points(told['ci95'][1])}]"
    return f"{bounds}, n = {told['n']}, fixed {told['fixed']}, broke {told['broke']}: {told['outcome']}"


def gained(gain: Gain) -> str:
    return f"{_bounds(gain)}, fixed {len(gain.fixed)}, broke {len(gain.broke)}"


def _bounds(gain: Gain) -> str:
    return f"{points(gain.mean)} [{points(gain.lo)}, {points(gain.hi)}]"


def _mean(values: Iterable[float]) -> str:
    rewards = list(values)
    return percent(sum(rewards) / len(rewards))
