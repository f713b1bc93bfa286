"""What the machine has: its GPUs by NVML, its memory, the driver. Whatever cannot be asked is absent, never an error."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

from sia_tui.core.hardware import CORE, Machine, card_like


@dataclass(frozen=True)
class Driver:
    """What NVML says of itself and of each GPU."""

    version: str
    gpus: tuple[tuple[str, int], ...]
    """Name and bytes of memory, by number."""


def driver() -> Driver | None:
    """None without an NVIDIA driver, or without its Python bindings."""
    with _nvml() as nvml:
        if nvml is None:
            return None
        try:
            handles = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(nvml.nvmlDeviceGetCount())]
            found = [
                (str(nvml.nvmlDeviceGetName(one)), int(nvml.nvmlDeviceGetMemoryInfo(one).total)) for one in handles
            ]
            return Driver(str(nvml.nvmlSystemGetDriverVersion()), tuple(found))
        except nvml.NVMLError:
            return None


def this_machine(device: str = "auto") -> Machine:
    """`device`: as in the config; `cpu` leaves GPUs out. GPUs of several kinds count as the smallest of them."""
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = driver() if device != "cpu" else None
    if found is None or not found.gpus:
        return Machine("", 0, CORE, host)
    name, memory = min(found.gpus, key=lambda gpu: gpu[1])
    return Machine(name, len(found.gpus), card_like(name, memory), host)


def gpus_given(device: str = "auto") -> int:
    """GPUs that this process may use: those named in its environment, up to the first that is none, as CUDA counts them;
    else all that the machine has."""
    found, named = this_machine(device).gpus, os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return found
    return min(found, len(list(takewhile(partial(_is_one, found), map(str.strip, named.split(","))))))


def _is_one(found: int, name: str) -> bool:
    """By its number, or by an id of its own."""
    return name.startswith(("GPU-", "MIG-")) or (name.isdecimal() and int(name) < found)


def names_given() -> list[str]:
    """As CUDA_VISIBLE_DEVICES names them: numbers, unless somebody named them otherwise."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = map(str, range(this_machine().gpus)) if named is None else map(str.strip, named.split(","))
    return [name for name in names if name]


def not_serving(serve_on: Sequence[int]) -> list[str]:
    """Of the GPUs that this process was given those that do not serve the policy; where a plan names none, the first does."""
    given = names_given()
    serving = [str(number) for number in serve_on] or given[:1]
    return [one for one in given if one not in serving]


@contextmanager
def _nvml() -> Iterator[Any]:
    try:
        import pynvml as nvml

        nvml.nvmlInit()
    except (ImportError, OSError):
        yield None
        return
    except nvml.NVMLError:
        yield None
        return
    try:
        yield nvml
    finally:
        nvml.nvmlShutdown()
