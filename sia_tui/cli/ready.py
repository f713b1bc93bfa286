"""`doctor --config`: whether this machine is ready for a config: driver, GPUs, versions, ports, model, disk, memory, time."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
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
from sia_tui.tasks.trimul.gpu import task as modules
from sia_tui.tasks.trimul.gpu.ready import missing

DRIVER = 580
"""R580 is the first driver that runs CUDA 13, which the wheels of torch 2.13 and vLLM 0.31 are built with."""
CONNECT_S, ASK_S = 2.0, 20.0
NAMES = ("torch", "transformers", "peft", "trl", "accelerate", "tokenizers", "safetensors")
"""Packages whose insides the trainer leans on."""


def rows_for(config: RunConfig, file: Path, workspace: Workspace) -> Iterator[Row]:
    """`file`: the config's own."""
    found, policy = driver(), config.policy
    yield _driver(config, found)
    yield _gpus(config, found)
    yield _versions(config)
    if config.task.name == modules.NAME:
        why = missing()
        yield Row(why is None, "GPU for kernels", "ready" if why is None else "n/a", why or "")
    if policy.backend == "vllm" and policy.address is None and policy.vllm.python is not None:
        yield _vllm(policy.vllm.python)
    yield _address(policy.address)
    if policy.backend == "remote":
        return
    absent = False
    if policy.kind == "model":
        absent, row = _model(policy.model or "")
        yield row
    described = planning.description(config, file)
    try:
        shape = planning.shape(config, described)
    except UnknownShape as error:
        yield Row(False, "shape", clean(str(error)), "fetch the model to where policy.model says, or correct it")
        return
    yield Row(True, "shape", clean(planning.shape_told(config, described)))
    yield from _disk(config, shape, workspace, absent)
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
    here = config.cluster.replicas if config.cluster.serve == "here" else 0
    wanted = max(highest + 1, config.tensor_parallel * here if _wants_gpu(config) else 0)
    gpus = found.gpus if found else ()
    told = ", ".join(f"{clean(name)} {memory / GIB:.0f} GiB" for name, memory in gpus) or "n/a"
    return Row(
        len(gpus) >= wanted, "GPUs", told, f"run where there are {wanted}, or change device, serve_on and train_on"
    )


def _versions(config: RunConfig) -> Row:
    """What is installed against constraints.txt."""
    pins = _pins()
    if not pins:
        return Row(True, "pinned versions", "n/a")
    policy = config.policy
    ours = policy.backend == "vllm" and policy.address is None and policy.vllm.python is None
    names = (*NAMES, "vllm") if ours else NAMES
    odd = [f"{name} {has} in place of {pins[name]}" for name in names if (has := _version(name)) != pins[name]]
    extra = "'.[vllm]'" if "vllm" in names else "."
    told = ", ".join(odd) or f"{len(names)} as pinned"
    return Row(not odd, "pinned versions", told, f"pip install -c constraints.txt {extra}")


def _pins() -> dict[str, str]:
    """By package; empty where there is no checkout, beside whose package constraints.txt lies."""
    file = Path(sia_tui.__file__).parents[1] / "constraints.txt"
    return dict(line.split("==") for line in file.read_text().split() if "==" in line) if file.is_file() else {}


def _vllm(python: str) -> Row:
    """The vLLM of an interpreter of its own."""
    pin = _pins().get("vllm", "")
    fix = f"{python} -m pip install vllm=={pin}, or correct policy.vllm.python"
    ask = "from importlib.metadata import version; print(version('vllm'))"
    try:
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True, timeout=ASK_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return Row(False, "vllm", clean(f"{python}: missing"), clean(fix))
    has = done.stdout.strip()
    return Row(not pin or has.partition("+")[0] == pin, "vllm", clean(f"{python}: {has}"), clean(fix))


def _version(name: str) -> str:
    """Without the local part that names a build, such as `+cpu`."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(name).partition("+")[0]
    return "missing"


def _model(name: str) -> tuple[bool, Row]:
    """Whether it is yet to be fetched, and what there is to say of it."""
    from sia_tui.policy.base import ModelMissing, find

    if os.environ.get("HF_HUB_OFFLINE") == "0" and not Path(name).expanduser().is_dir():
        # Looking for it would fetch it.
        told = f"{name}: fetched when a run starts, as HF_HUB_OFFLINE=0 says"
        return not planning.own_description(name).is_file(), Row(True, "model", clean(told))
    try:
        return False, Row(True, "model", clean(str(find(name))))
    except ModelMissing as missing:
        return True, Row(
            False, "model", clean(str(missing)), "fetch the model's whole folder, and name it in policy.model"
        )


def _address(address: str | None) -> Row:
    if address is None:
        return Row(True, "ports", "n/a: the gateway, and a vLLM that it starts, listen on unix sockets")
    fix = "start the server, or correct policy.address (http://host:port)"
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=CONNECT_S).close()
    except (OSError, ValueError) as error:
        return Row(False, "policy address", clean(f"{address}: {error}"), fix)
    return Row(True, "policy address", clean(f"{address} answers"))


def _disk(config: RunConfig, shape: Shape, workspace: Workspace, absent: bool) -> Iterator[Row]:
    """A row a file system: what one of two neighbours takes the other lacks.

    Room for a published adapter a step, and for as many of a training under way (an adapter and Adam's two moments); for a
    model that is yet to be fetched, as it is stored: in bfloat16, or in the four bits of its experts.
    """
    adapters = [ADAPTER_BYTES * shape.trainable(one.rank, one.targets) for one in config.weights.plans(config.seed)]
    wanted = [(workspace.root, "adapters and checkpoints", max(adapters) * (config.budget.steps + 3 * 2))]
    if absent and planning.HUB_ID.fullmatch(config.policy.model or ""):
        wanted.append((_cache(), "the model", shape.served_weights("bfloat16")))
    places: dict[int, list[tuple[Path, str, int]]] = {}
    for path, what, size in wanted:
        places.setdefault(existing(path).stat().st_dev, []).append((path, what, size))
    for place in places.values():
        free, needs = shutil.disk_usage(existing(place[0][0])).free, sum(size for _, _, size in place)
        told = "; ".join(
            f"{what} take{'s' * (what == 'the model')} {size / GIB:.1f} in {path}" for path, what, size in place
        )
        fix = f"free {(needs - free) / GIB:.1f} GiB, or choose another disk with --workspace (models: HF_HOME)"
        name = f"disk for {' and '.join(what for _, what, _ in place)}"
        yield Row(free >= needs, name, clean(f"{free / GIB:.1f} GiB free; {told}"), fix)


def _cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _plans(config: RunConfig, shape: Shape) -> Iterator[Row]:
    """Of memory and of time a row where all plans can be carried out, else one for each reason."""
    machine, ends = this_machine(config.weights.device), tuple(planning.deadlines(config))
    setups = [planning.setup(config, one, shape, machine) for one in config.weights.plans(config.seed)]
    costs = [cost(one, Seen()) for one in setups]
    short = {refusal.why: refusal.would for one in setups for refusal in refusals(one, Seen(), ())}
    late = {refusal.why: refusal.would for one in setups for refusal in refusals(one, Seen(), ends)}
    fullest = max((place for one in costs for place in one.places), key=lambda place: place.needs)
    yield from (Row(False, "memory", why, would) for why, would in short.items())
    if not short:
        yield Row(True, "memory", f"{costs[0].arrangement}; {fullest.told}")
    yield from (Row(False, "time", why, would) for why, would in late.items() if why not in short)
    if late.keys() == short.keys():
        yield Row(True, "time", f"{max(one.seconds for one in costs) / 60:.0f} min at the most (guessed)")
