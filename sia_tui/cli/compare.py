"""`sia-tui compare`: two runs side by side, and of their configs only what differs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from shutil import get_terminal_size
from typing import Any

from sia_tui.cli.again import gain_data
from sia_tui.cli.main import DONE
from sia_tui.cli.reading import told_of
from sia_tui.cli.sides import SPLITS, sides
from sia_tui.config import ConfigError, load_config
from sia_tui.core.episodes import Split
from sia_tui.core.events import Evaluated
from sia_tui.core.state import State
from sia_tui.core.stats import paired_gain
from sia_tui.store.reader import RunReader
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.tui.pieces import Laid

PIPED = (160, 24)
"""What is taken for a terminal's size where there is none."""


def compare(options: argparse.Namespace) -> int:
    told, courses = _compared(Workspace.locate(options.workspace), options.run, options.other)
    if options.json:
        print(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        print("\n".join(row.plain.rstrip() for row in sides(told, courses, get_terminal_size(PIPED).columns)))
    return DONE


def comparison(workspace: Workspace, one: str, other: str) -> Laid:
    """What is printed. Raises StoreError."""
    return partial(sides, *_compared(workspace, one, other))


def _compared(workspace: Workspace, *names: str) -> tuple[dict[str, Any], list[list[float]]]:
    """What there is to tell, and each run's course on dev."""
    runs = [workspace.existing(name) for name in names]
    with closing(RunReader(runs[0].db)) as one, closing(RunReader(runs[1].db)) as other:
        readers = (one, other)
        states = (one.state(), other.state())
        told = {
            "runs": [_run(paths, state) for paths, state in zip(runs, states, strict=True)],
            "gain": {split: _paired(readers, states, split) for split in SPLITS},
            "config": _differing(_config(runs[0]), _config(runs[1])),
        }
        return told, [_course(state) for state in states]


def _course(state: State) -> list[float]:
    """Of what was kept, one after the other."""
    return [made.results["dev"].mean for made in state.generations if made.kept and "dev" in made.results]


def _run(paths: RunPaths, state: State) -> dict[str, Any]:
    """`show --json` of each says more."""
    told, best = told_of(paths, state), state.best
    kept = [made for made in state.generations if made.kept and made.lever]
    return {
        "run": paths.name,
        "task": state.task,
        "status": told["status"],
        "incumbent": state.incumbent,
        **{split: _score(_result(state, split)) for split in SPLITS},
        "dev_at_g0": _score(state.generations[0].results.get("dev")) if state.generations else None,
        "null_baselines": dict(state.baselines_dev or {}),
        "steps": [
            {
                "lever": step.proposal.lever,
                "title": step.proposal.title,
                "gain": step.measured.gain if step.measured else None,
                "kept": any(state.generations[index].kept for index in step.candidates),
                "refused": step.refused is not None,
            }
            for step in state.steps
        ],
        "kept": {lever: sum(made.lever == lever for made in kept) for lever in ("harness", "weights", "both")},
        "tool_share": best.results["dev"].tool_share if best and "dev" in best.results else None,
        "cost": told["cost"],
    }


def _result(state: State, split: Split) -> Evaluated | None:
    """Of the incumbent; hidden and test only once the run is over."""
    if state.best is None or (split != "dev" and not state.over):
        return None
    if split == "test":
        opened = state.test_opened
        return state.generations[opened.generation].results.get("test") if opened else None
    return state.best.results.get(split)


def _score(found: Evaluated | None) -> dict[str, Any] | None:
    return {"mean": found.mean, "ci95": [found.lo, found.hi], "n": found.n} if found else None


def _paired(readers: tuple[RunReader, RunReader], states: tuple[State, State], split: Split) -> dict[str, Any]:
    """The second run's incumbent against the first one's, or why they cannot be paired."""
    why = _unpaired(states, split)
    if why is None:
        old, new = (_rewards(reader, state, split) for reader, state in zip(readers, states, strict=True))
        if old.keys() != new.keys():
            why = (
                f"they were measured on other cases ({len(old)} and {len(new)}, {len(old.keys() & new.keys())} of both)"
            )
        elif not old:
            why = "no episode is stored"
        else:
            return gain_data(paired_gain(old, new))
    return {"unpaired": why}


def _unpaired(states: tuple[State, State], split: Split) -> str | None:
    one, other = states
    for state in states:
        if _result(state, split) is None:
            sealed = split != "dev" and not state.over
            return f"{state.run} is not over" if sealed else f"{state.run} has no {split} score"
    assert one.task_ready is not None and other.task_ready is not None
    if one.task != other.task:
        return f"other tasks: {one.task} and {other.task}"
    hashes = [state.task_ready.split_hash for state in states if state.task_ready]
    if hashes[0] != hashes[1]:
        return f"the data is split otherwise: {hashes[0][:12]} and {hashes[1][:12]}"
    if one.task_ready.verifier_hash != other.task_ready.verifier_hash:
        return "other verifiers judged them"
    return None


def _rewards(reader: RunReader, state: State, split: Split) -> dict[str, float]:
    opened = state.test_opened
    index = opened.generation if split == "test" and opened else state.incumbent
    assert index is not None
    return {row.case_id: row.reward for row in reader.episodes(state.generations[index].key, split)}


def _config(paths: RunPaths) -> dict[str, Any]:
    try:
        return dict(_flat(load_config(paths.config).public.model_dump(mode="json")))
    except ConfigError as error:
        raise StoreError(str(error)) from error


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf by its dotted key, as `--set` names it."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    """{key: [the first run's, the second's]}, None where a run has no such key."""
    return {
        key: [one.get(key), other.get(key)]
        for key in dict.fromkeys([*one, *other])
        if (key in one, one.get(key)) != (key in other, other.get(key))
    }
