"""What a config, a run and a machine say about the cost of a plan, put together for `core/costs.py` to reckon with."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sia_tui.config import RunConfig
from sia_tui.core.costs import Seen, Setup, arrangement, rehearsed
from sia_tui.core.fitting import Deadline, light
from sia_tui.core.hardware import Machine
from sia_tui.core.memory import GIB, MICRO_TOKENS, Device, Serving, Training
from sia_tui.core.nodes import gpus
from sia_tui.core.plans import TrainPlan
from sia_tui.core.proposals import Light
from sia_tui.core.shape import Shape, UnknownShape, shape_of
from sia_tui.core.state import State, Step
from sia_tui.core.text import one_line
from sia_tui.engine.hardware import this_machine
from sia_tui.given import CONFIG, read_whole
from sia_tui.policy.nano import architecture
from sia_tui.store.reader import RunReader

STEP_SECONDS, PEAK_GIB = "train_s", "peak_gib"
"""Names of a training step's measures that are read here."""
SLURM_END = "SLURM_JOB_END_TIME"
"""Seconds since the epoch; Slurm sets it in a job's environment."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
SHAPES = "shapes"
"""Folder beside a config, with the `config.json` of models that need not be on this machine."""


def description(config: RunConfig, file: Path | None = None) -> Path | None:
    """Where the policy is described: in its folder's `config.json`; of a model that is not on this machine, in
    `shapes/<name>.json` beside the config's file, in small letters. None for the nano model, which its recipe describes."""
    policy = config.policy
    if policy.kind == "nano":
        return None
    own = own_description(policy.model or "")
    kept = file.parent / SHAPES / f"{Path(policy.model or '').name.lower()}.json" if file else own
    return kept if kept.is_file() and not own.is_file() else own


def shape(config: RunConfig, described: Path | None = None) -> Shape:
    """Of the policy, by the file `described`; without one, by its own description. Raises UnknownShape."""
    file = described or description(config)
    if file is None:
        return shape_of(architecture(config.policy.recipe, config.policy.recipe.vocab))
    try:
        found = json.loads(read_whole(file, CONFIG))
    except FileNotFoundError:
        raise UnknownShape(
            f"{file}: no such file; fetch the model, or name its config.json with --shape, "
            f"or put that at {SHAPES}/<model>.json beside the config"
        ) from None
    except (OSError, ValueError) as error:
        raise UnknownShape(f"{file}: cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise UnknownShape(f"{file}: expected an object, got {type(found).__name__}")
    return shape_of(found)


def shape_told(config: RunConfig, described: Path | None) -> str:
    """Where the shape is from."""
    if described is None:
        return "of the nano model, by its recipe"
    own = described == own_description(config.policy.model or "")
    return f"{described}" if own else f"{described}, in place of the model's own config.json"


def own_description(model: str) -> Path:
    """The `config.json` of a folder, or of a model in the local Hugging Face cache; nothing is downloaded for a question."""
    folder = Path(model).expanduser()
    if folder.is_dir() or not HUB_ID.fullmatch(model):
        return folder / "config.json"
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json")
    return Path(found) if isinstance(found, str) else folder / "config.json"


def allotted(config: RunConfig, plan: TrainPlan, state: State) -> int:
    """GPUs that are the run's while it carries the plan out, of all nodes; 0 where nobody can tell."""
    try:
        made = setup(config, plan, shape(config), this_machine(config.weights.device), state)
    except UnknownShape:
        return state.gpus
    return made.allotted


def setup(config: RunConfig, plan: TrainPlan, of: Shape, machine: Machine, state: State | None = None) -> Setup:
    policy, weights = config.policy, config.weights
    ours = policy.backend == "vllm" and policy.address is None
    device: Device = "cuda" if machine.gpus and weights.device != "cpu" else "cpu"
    return Setup(
        plan=plan,
        shape=of,
        trainer=Training(
            device=device,
            dtype=weights.dtype,
            micro_tokens=weights.micro_tokens or MICRO_TOKENS[device],
            checkpointing=weights.gradient_checkpointing,
        ),
        server=Serving(
            device="cuda" if machine.gpus and policy.device == "cuda" else "cpu",
            backend=policy.backend,
            dtype=policy.dtype,
            context=min(of.context, policy.context or of.context),
            lanes=config.harness.lanes,
            gpus=config.tensor_parallel if ours else 1,
            replicas=config.cluster.replicas if ours else 1,
            adapters=max(policy.vllm.adapters if ours else 1, plan.staleness + 2),
            share=policy.vllm.memory if ours and machine.gpus else 0.0,
        ),
        machine=machine,
        in_turns=weights.turns == "always",
        workers=weights.workers,
        nodes=gpus(state.nodes, 0) if state else 0,
        elsewhere=config.cluster.serve == "nodes",
    )


def seen(state: State, reader: RunReader) -> Seen:
    """What the run has measured: its newest pilot; of optimizer steps the newest training's, or a rehearsal's that came
    after it."""
    pilots = [step.pilot.pilot for step in state.steps if step.pilot]
    pilot = pilots[-1] if pilots else None
    found = (_trained(step, reader) or _rehearsed(step) for step in reversed(state.steps))
    return replace(next((one for one in found if one), Seen()), pilot=pilot)


def _trained(step: Step, reader: RunReader) -> Seen | None:
    rows = [row.values for row in reader.metrics(step.id) if STEP_SECONDS in row.values]
    plan = step.proposal.plan
    if not rows or plan is None:
        return None
    peaks = [int(row[PEAK_GIB] * GIB) for row in rows if PEAK_GIB in row]
    mean = sum(row[STEP_SECONDS] for row in rows) / len(rows)
    return Seen(None, mean, plan.learned, max(peaks, default=None))


def _rehearsed(step: Step) -> Seen | None:
    plan = step.proposal.plan
    return rehearsed(plan, step.pilot.pilot) if plan and step.pilot else None


def in_turns(config: RunConfig, plan: TrainPlan, state: State, reader: RunReader) -> bool:
    """Whether the policy is to sleep while the plan's trainer computes. On GPUs that both use, also where nobody can tell
    whether they fit side by side."""
    if config.weights.turns == "always":
        return True
    machine = this_machine(config.weights.device)
    try:
        found = setup(config, plan, shape(config), machine, state)
    except UnknownShape:
        served = plan.serve_on or range(config.tensor_parallel * config.cluster.replicas)
        here = machine.gpus and config.cluster.serve == "here"
        return bool(here and set(plan.train_on or (0,)) & set(served))
    return arrangement(found, seen(state, reader)) == "in turns"


def deadlines(config: RunConfig, spent_s: float = 0.0) -> Iterator[Deadline]:
    """The run's own clock, and the job's if this runs in one."""
    yield Deadline("budget.wall_s", config.budget.wall_s - spent_s)
    end = os.environ.get(SLURM_END, "")
    if end.isdecimal():
        yield Deadline(SLURM_END, int(end) - time.time())


def fits_light(config: RunConfig, plan: TrainPlan, state: State, reader: RunReader) -> Light:
    """Whether this machine can carry the plan out, by what the run has measured; amber where nobody can tell."""
    try:
        of = shape(config)
    except UnknownShape as error:
        return Light("fits", "amber", one_line(str(error)))
    made = setup(config, plan, of, this_machine(config.weights.device), state)
    return light(made, seen(state, reader), tuple(deadlines(config, state.cost.wall_s)))
