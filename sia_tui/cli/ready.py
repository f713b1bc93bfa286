"""`doctor --config`: whether this machine is ready for a config: driver, GPUs, model, disk, versions, address, plans."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import sia_tui
from sia_tui.cli.doctor import Row, existing
from sia_tui.config import RunConfig
from sia_tui.core.costs import Seen, cost
from sia_tui.core.fitting import refusals
from sia_tui.core.memory import ADAPTER_BYTES, GIB
from sia_tui.core.shape import Shape, UnknownShape
from sia_tui.core.text import clean
from sia_tui.engine import planning
from sia_tui.engine.hardware import Driver, driver, this_machine
from sia_tui.store.workspace import Workspace

DRIVER = 580
"""R580 is the first driver that runs CUDA 13, which the wheels of torch 2.13 and vLLM 0.31 are built with."""
CONNECT_S = 2.0
NAMES = ("torch", "transformers", "peft", "trl", "accelerate", "tokenizers", "safetensors")
"""Packages whose insides the trainer leans on."""


def rows_for(config: RunConfig, workspace: Workspace) -> Iterator[Row]:
    found = driver()
    yield _driver(config, found)
    yield _gpus(config, found)
    yield _versions(config)
    if config.policy.kind == "model" and config.policy.backend != "remote":
        yield _model(config)
    if config.policy.address is not None:
        yield _address(config.policy.address)
    if config.policy.backend == "remote":
        return
    try:
        shape = planning.shape(config)
    except UnknownShape as error:
        yield Row(False, "plans", clean(str(error)), "fetch the model to where policy.model says, or correct it")
        return
    yield _disk(config, shape, workspace)
    yield from _plans(config, shape)


def _wants_gpu(config: RunConfig) -> bool:
    return "cuda" in (config.policy.device, config.weights.device) or config.policy.backend == "vllm"


def _driver(config: RunConfig, found: Driver | None) -> Row:
    needed = _wants_gpu(config)
    fix = f"install an NVIDIA driver R{DRIVER} or newer; wheels built with CUDA 13 start with no older one"
    if found is None:
        return Row(not needed, "NVIDIA driver", "n/a", fix)
    major = found.version.split(".")[0]
    return Row(major.isdecimal() and int(major) >= DRIVER, "NVIDIA driver", clean(found.version), fix, needed)


def _gpus(config: RunConfig, found: Driver | None) -> Row:
    plans = config.weights.plans(config.seed)
    highest = max((number for one in plans for number in (*one.serve_on, *one.train_on)), default=-1)
    wanted = max(highest + 1, int(_wants_gpu(config)))
    gpus = found.gpus if found else ()
    told = ", ".join(f"{clean(name)} {memory / GIB:.0f} GiB" for name, memory in gpus) or "n/a"
    return Row(
        len(gpus) >= wanted, "GPUs", told, f"run where there are {wanted}, or change device, serve_on and train_on"
    )


def _versions(config: RunConfig) -> Row:
    """What is installed against constraints.txt, which lies beside the package in a checkout."""
    file = Path(sia_tui.__file__).parents[1] / "constraints.txt"
    if not file.is_file():
        return Row(True, "pinned versions", "n/a")
    pins = dict(line.split("==") for line in file.read_text().split() if "==" in line)
    policy = config.policy
    ours = policy.backend == "vllm" and policy.address is None and policy.vllm.python is None
    names = (*NAMES, "vllm") if ours else NAMES
    odd = [f"{name} {has} in place of {pins[name]}" for name in names if (has := _version(name)) != pins[name]]
    extra = "'.[vllm]'" if "vllm" in names else "."
    told = ", ".join(odd) or f"{len(names)} as pinned"
    return Row(not odd, "pinned versions", told, f"pip install -c constraints.txt {extra}")


def _version(name: str) -> str:
    """Without the local part that names a build, such as `+cpu`."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(name).partition("+")[0]
    return "missing"


def _model(config: RunConfig) -> Row:
    from sia_tui.policy.base import ModelMissing, find

    name = config.policy.model or ""
    if os.environ.get("HF_HUB_OFFLINE") == "0" and not Path(name).expanduser().is_dir():
        return Row(True, "model", clean(f"{name}: fetched when a run starts, as HF_HUB_OFFLINE=0 says"))
    try:
        return Row(True, "model", clean(str(find(name))))
    except ModelMissing as missing:
        return Row(False, "model", clean(str(missing)), "fetch the model's whole folder, and name it in policy.model")


def _address(address: str) -> Row:
    fix = "start the server, or correct policy.address (http://host:port)"
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=CONNECT_S).close()
    except (OSError, ValueError) as error:
        return Row(False, "policy address", clean(f"{address}: {error}"), fix)
    return Row(True, "policy address", clean(f"{address} answers"))


def _disk(config: RunConfig, shape: Shape, workspace: Workspace) -> Row:
    """Room for a published adapter a step, and for as many of a training under way: an adapter and Adam's two moments."""
    free = shutil.disk_usage(existing(workspace.root)).free
    adapters = [ADAPTER_BYTES * shape.trainable(one.rank, one.targets) for one in config.weights.plans(config.seed)]
    needs = max(adapters) * (config.budget.steps + 3 * 2)
    told = f"{free / GIB:.1f} GiB free, adapters and checkpoints take {needs / GIB:.1f}"
    return Row(free >= needs, "disk for adapters", told, "free some, or choose another disk with --workspace")


def _plans(config: RunConfig, shape: Shape) -> Iterator[Row]:
    """One row where all can be carried out, else one for each reason."""
    machine, ends = this_machine(config.weights.device), tuple(planning.deadlines(config))
    setups = [planning.setup(config, one, shape, machine) for one in config.weights.plans(config.seed)]
    against = {refusal.why: refusal.would for one in setups for refusal in refusals(one, Seen(), ends)}
    for why, would in against.items():
        yield Row(False, "plans", why, would)
    if not against:
        fullest = max((place for one in setups for place in cost(one, Seen()).places), key=lambda place: place.needs)
        yield Row(True, "plans", fullest.told)
