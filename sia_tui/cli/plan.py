"""`plan`: what a config's plans, or the one that a run proposes, cost on a machine; exit code 1 if one cannot be carried out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sia_tui.cli.main import DONE, FAILED, UsageError
from sia_tui.cli.table import table
from sia_tui.config import ConfigError, RunConfig, load_config
from sia_tui.core.costs import Cost, Place, Seen, Setup, cost
from sia_tui.core.fitting import Deadline, Refusal, refusals
from sia_tui.core.hardware import Machine, machine_named
from sia_tui.core.memory import GIB
from sia_tui.core.plans import ALGORITHMS, TrainPlan
from sia_tui.core.shape import UnknownShape
from sia_tui.core.state import State
from sia_tui.core.text import clean
from sia_tui.engine import planning
from sia_tui.engine.hardware import this_machine
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import Workspace


@dataclass(frozen=True)
class Asked:
    """What is to be reckoned with."""

    config: RunConfig
    file: Path
    """The config's."""
    plans: tuple[TrainPlan, ...]
    seen: Seen
    deadlines: tuple[Deadline, ...]
    state: State | None = None
    """Of the run, where it is one."""


@dataclass(frozen=True)
class Answer:
    setup: Setup
    cost: Cost
    refused: tuple[Refusal, ...]


def plan(options: argparse.Namespace) -> int:
    asked = _asked(options)
    machine = _machine(options.gpu, asked.config)
    described = Path(options.shape) if options.shape else planning.description(asked.config, asked.file)
    answers = _answers(asked, machine, described)
    source = planning.shape_told(asked.config, described)
    told = {"machine": asdict(machine), "shape": source, "plans": [_data(answer) for answer in answers]}
    print(json.dumps(told, indent=2) if options.json else _lines(machine, source, answers))
    return FAILED if any(answer.refused for answer in answers) else DONE


def estimate(file: Path, overrides: Sequence[str]) -> str:
    """In a line, what one training takes that a run of this config may be asked about. Raises UsageError, also where none of
    them can be carried out on this machine."""
    asked = _of_file(file, overrides, None)
    agents = asked.config.agents
    if "weights" not in agents.levers:
        return "no training: agents.levers names the harness alone"
    plans = tuple(one for one in asked.plans if one.algorithm in agents.algorithms)
    machine, described = this_machine(asked.config.weights.device), planning.description(asked.config, file)
    answers = _answers(replace(asked, plans=plans), machine, described)
    able = [answer for answer in answers if not answer.refused]
    if not able:
        raise UsageError(f"no training can be carried out on this machine: {answers[0].refused[0].told}")
    took = f"a training takes {_between([answer.cost.seconds / 60 for answer in able])} min"
    gpus = f", {_between([answer.cost.gpu_hours for answer in able])} GPU-hours" if able[0].setup.allotted else ""
    return f"{took}{gpus} on this machine; guessed: a pilot measures it before its gate"


def _between(values: Sequence[float]) -> str:
    least, most = f"{min(values):.1f}", f"{max(values):.1f}"
    return least if least == most else f"{least} to {most}"


def _answers(asked: Asked, machine: Machine, described: Path | None) -> list[Answer]:
    """Raises UsageError where nobody can tell the policy's shape."""
    try:
        shape = planning.shape(asked.config, described)
    except UnknownShape as error:
        raise UsageError(str(error)) from error
    setups = [planning.setup(asked.config, one, shape, machine, asked.state) for one in asked.plans]
    return [Answer(one, cost(one, asked.seen), refusals(one, asked.seen, asked.deadlines)) for one in setups]


def _of_file(path: Path, overrides: Sequence[str], algorithm: str | None) -> Asked:
    config = _config(path, overrides)
    return Asked(config, path, _chosen(config, algorithm), Seen(), tuple(planning.deadlines(config)))


def _asked(options: argparse.Namespace) -> Asked:
    """A file is a config; anything else names a run."""
    path = Path(options.what)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return _of_file(path, options.overrides, options.algorithm)
    paths = Workspace.locate(options.workspace).existing(options.what)
    config = _config(paths.config, options.overrides)
    reader = RunReader(paths.db)
    try:
        state = reader.state()
        found = planning.seen(state, reader)
    finally:
        reader.close()
    proposed = state.current.proposal.plan if state.current else None
    plans = (proposed,) if proposed and not options.algorithm else _chosen(config, options.algorithm)
    return Asked(config, paths.config, plans, found, tuple(planning.deadlines(config, state.cost.wall_s)), state)


def _config(path: Path, overrides: Sequence[str]) -> RunConfig:
    try:
        return load_config(path, list(overrides))
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _chosen(config: RunConfig, algorithm: str | None) -> tuple[TrainPlan, ...]:
    plans = config.weights.plans(config.seed)
    if algorithm is not None and algorithm not in ALGORITHMS:
        raise UsageError(f"--algorithm {algorithm}: expected one of {', '.join(ALGORITHMS)}")
    return tuple(one for one in plans if algorithm in (None, one.algorithm))


def _machine(named: str | None, config: RunConfig) -> Machine:
    if named is None:
        return this_machine(config.weights.device)
    try:
        return machine_named(named)
    except ValueError as error:
        raise UsageError(f"--gpu {error}") from error


def _data(answer: Answer) -> dict[str, Any]:
    found, setup = answer.cost, answer.setup
    return {
        "plan": asdict(setup.plan),
        "arrangement": found.arrangement,
        "trainable": found.trainable,
        "memory": [
            {
                "place": place.name,
                "parts_bytes": dict(place.parts),
                "needs_bytes": place.needs,
                "has_bytes": place.has,
                "fits": place.fits,
                "measured": place.measured,
            }
            for place in found.places
        ],
        "rollouts": found.rollouts,
        "tokens": round(found.tokens),
        "minutes": found.seconds / 60,
        "gpu_hours": found.gpu_hours,
        "measured": dict(found.measured),
        "refused": [asdict(refusal) for refusal in answer.refused],
    }


def _lines(machine: Machine, source: str, answers: Sequence[Answer]) -> str:
    rows = [_row(answer) for answer in answers]
    head = ("plan", "LoRA", "trainable", "rollouts", "minutes", "GPU-hours", "rollouts, steps", "")
    return "\n".join(
        [
            f"machine: {clean(machine.told)}",
            f"shape: {clean(source)}",
            "",
            table(head, rows),
            "",
            *_memory(answers),
            *_reasons(answers),
        ]
    )


def _row(answer: Answer) -> tuple[str, ...]:
    found, one = answer.cost, answer.setup.plan
    return (
        f"{one.algorithm}, {one.steps} steps",
        f"r {one.rank} {one.targets}",
        f"{found.trainable:,}",
        f"{found.rollouts:,}",
        f"{found.seconds / 60:.1f}",
        f"{found.gpu_hours:.2f}" if answer.setup.allotted else "–",
        f"{_basis(found.measured['rollouts'])}, {_basis(found.measured['steps'])}",
        "REFUSED" if answer.refused else "",
    )


def _memory(answers: Sequence[Answer]) -> list[str]:
    """By part, once for all plans that need the same."""
    groups: list[tuple[Cost, list[str]]] = []
    for answer in answers:
        same = next((names for found, names in groups if found.places == answer.cost.places), None)
        if same is None:
            groups.append((answer.cost, [answer.setup.plan.algorithm]))
        else:
            same.append(answer.setup.plan.algorithm)
    told = []
    for found, names in groups:
        rows = [row for place in found.places for row in _parts(place)]
        told += [
            f"memory of {', '.join(names)} ({found.arrangement}):",
            table(("where", "what", "GiB"), rows),
            "",
        ]
    return told


def _reasons(answers: Sequence[Answer]) -> list[str]:
    """A line for each reason, with the plans it stands against."""
    against: dict[str, list[str]] = {}
    for answer in answers:
        for refusal in answer.refused:
            against.setdefault(refusal.told, []).append(answer.setup.plan.algorithm)
    return [f"refused: {', '.join(names)}: {reason}" for reason, names in against.items()]


def _parts(place: Place) -> list[tuple[str, str, str]]:
    has = "unknown" if place.has is None else f"{place.has / GIB:.2f}"
    sizes = [("", name, f"{size / GIB:.2f}") for name, size in place.parts.items()]
    total = "all of it" if place.fits else "all of it: DOES NOT FIT"
    return [(place.name, _basis(place.measured), f"has {has}"), *sizes, ("", total, f"{place.needs / GIB:.2f}")]


def _basis(measured: bool) -> str:
    return "measured" if measured else "guessed"
