"""`sia-tui compare`: two runs side by side, and of their configs only what differs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from sia_tui.cli.again import gain_data, gain_told
from sia_tui.cli.main import DONE
from sia_tui.cli.reading import told_of
from sia_tui.cli.table import table
from sia_tui.config import ConfigError, load_config
from sia_tui.core.episodes import Split
from sia_tui.core.events import Evaluated
from sia_tui.core.state import State
from sia_tui.core.stats import paired_gain
from sia_tui.core.telling import percent, points
from sia_tui.core.text import one_line
from sia_tui.store.reader import RunReader
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths, Workspace

SPLITS: tuple[Split, ...] = ("dev", "hidden", "test")


def compare(options: argparse.Namespace) -> int:
    told = _compared(Workspace.locate(options.workspace), options.run, options.other)
    print(json.dumps(told, ensure_ascii=False, indent=2) if options.json else "\n".join(_lines(told)))
    return DONE


def comparison(workspace: Workspace, one: str, other: str) -> str:
    """What is printed. Raises StoreError."""
    return "\n".join(_lines(_compared(workspace, one, other)))


def _compared(workspace: Workspace, *names: str) -> dict[str, Any]:
    runs = [workspace.existing(name) for name in names]
    with closing(RunReader(runs[0].db)) as one, closing(RunReader(runs[1].db)) as other:
        readers = (one, other)
        states = (one.state(), other.state())
        return {
            "runs": [_run(paths, state) for paths, state in zip(runs, states, strict=True)],
            "gain": {split: _paired(readers, states, split) for split in SPLITS},
            "config": _differing(_config(runs[0]), _config(runs[1])),
        }


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


def _lines(told: dict[str, Any]) -> list[str]:
    one, other = told["runs"]
    rows = [(name, _said(name, one[name]), _said(name, other[name])) for name in ROWS]
    lines = [table(("", one["run"], other["run"]), rows), ""]
    for split, found in told["gain"].items():
        if "unpaired" in found:
            lines.append(f"{split}: not paired: {found['unpaired']}")
        else:
            lines.append(f"{split}: {other['run']} over {one['run']} {gain_told(found)}")
    for run in told["runs"]:
        lines += ["", f"steps of {run['run']}:", *(_step(step) for step in run["steps"])]
    lines += ["", "config where it differs:" if told["config"] else "the configs are the same"]
    if told["config"]:
        differing = [(key, _value(pair[0]), _value(pair[1])) for key, pair in told["config"].items()]
        lines.append(table(("", one["run"], other["run"]), differing))
    return lines


ROWS = ("task", "status", "dev_at_g0", *SPLITS, "null_baselines", "kept", "tool_share", "cost")


def _said(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name == "cost":
        return f"{value['wall_s'] / 60:.1f} min, {value['episodes']} episodes, {value['tokens']} tokens, {value['money']} $"
    if name == "kept":
        return ", ".join(f"{lever} {count}" for lever, count in value.items())
    if name == "null_baselines":
        return ", ".join(f"{one_line(null, 20)} {percent(mean)}" for null, mean in value.items()) or "–"
    if name == "tool_share":
        return percent(value)
    if isinstance(value, dict):
        return (
            f"{percent(value['mean'])} [{100 * value['ci95'][0]:.1f}, {100 * value['ci95'][1]:.1f}], n = {value['n']}"
        )
    return one_line(str(value), 60)


def _step(step: Mapping[str, Any]) -> str:
    gain = "" if step["gain"] is None else f" {points(step['gain'])}"
    fate = "kept" if step["kept"] else "refused" if step["refused"] else "not kept"
    return f"  {step['lever']}: {one_line(step['title'], 80)}:{gain} {fate}"


def _value(value: Any) -> str:
    return one_line(json.dumps(value, ensure_ascii=False), 60)
