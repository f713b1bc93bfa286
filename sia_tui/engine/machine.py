"""What the machine does: GPUs by NVML, processes by /proc. Sampled in a thread of its own, for a driver may hang."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sia_tui.core.machine import Gpu, Usage

EVERY_S = 3.0
_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_GIB = 2**30
_FOR = {
    b"sia_tui.weights.trainer": "trainer",
    b"sia_tui.policy.gateway": "policy",
    b"vllm.entrypoints.openai.api_server": "policy",
}
"""What a child of the engine is for, by the module it runs; what it starts itself is for the same."""
_OTHERS = "others"


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    started: int
    """Clock ticks since boot: a pid alone may come again."""
    cpu_s: float
    rss: int
    """Bytes."""


class Meter:
    """Samples from its start until it is stopped; `newest` is the last reading, None before the first."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="machine", daemon=True)
        self.newest: Usage | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Does not wait: a hanging driver would hold up the engine's end."""
        self._over.set()

    def _sample(self) -> None:
        gpus, before, at = _open_gpus(), dict[tuple[int, int], float](), time.monotonic()
        while not self._over.is_set():
            family, now = processes(os.getpid()), time.monotonic()
            spent = {(process.pid, process.started): process.cpu_s for process in family}
            used = sum(seconds - before.get(who, 0.0) for who, seconds in spent.items())
            self.newest = Usage(gpus(), used / (now - at) if before else None, rss_gib(family))
            before, at = spent, now
            self._over.wait(self._every_s)


def processes(root: int) -> list[Process]:
    """The process `root` and everything below it that is still there."""
    children: dict[int, list[Process]] = {}
    found = []
    for process in _all():
        children.setdefault(process.parent, []).append(process)
        if process.pid == root:
            found.append(process)
    for process in found:
        found += children.get(process.pid, [])
    return found


def rss_gib(family: list[Process]) -> dict[str, float]:
    """Resident memory by what the processes below the first one are for."""
    purpose: dict[int, str] = {}
    sizes: dict[str, float] = {}
    for process in family[1:]:
        role = purpose[process.pid] = purpose.get(process.parent) or _purpose(process.pid)
        sizes[role] = sizes.get(role, 0.0) + process.rss / _GIB
    return {role: sizes[role] for role in dict.fromkeys((*_FOR.values(), _OTHERS)) if role in sizes}


def peak_gib(pid: int | str = "self") -> float | None:
    """Most resident memory a process ever had, in GiB; None where the kernel does not tell."""
    with suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**20
    return None


def _all() -> Iterator[Process]:
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            # It may end between being listed and being read.
            with suppress(OSError):
                yield _process(int(folder.name), (folder / "stat").read_text(errors="replace"))


def _process(pid: int, stat: str) -> Process:
    """proc_pid_stat(5); the name in brackets may hold anything, so fields are counted from behind it."""
    fields = stat.rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
    return Process(pid, int(fields[1]), int(fields[19]), cpu_s, int(fields[21]) * _PAGE)


def _purpose(pid: int) -> str:
    with suppress(OSError):
        words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        return next((role for module, role in _FOR.items() if module in words), _OTHERS)
    return _OTHERS


def _open_gpus() -> Callable[[], tuple[Gpu, ...]]:
    """Reads the GPUs, none where there is no driver or package."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except (ImportError, OSError):
        return tuple
    except pynvml.NVMLError:
        return tuple
    return lambda: tuple(_gpu(pynvml, index, handle) for index, handle in enumerate(handles))


def _gpu(nvml: Any, index: int, handle: Any) -> Gpu:
    def ask(read: Callable[[Any], Any], value: Callable[[Any], float]) -> float | None:
        """What a driver does not know of a slice, or of a GPU that fell off the bus, it raises."""
        try:
            return value(read(handle))
        except nvml.NVMLError:
            return None

    memory = nvml.nvmlDeviceGetMemoryInfo
    return Gpu(
        index,
        ask(nvml.nvmlDeviceGetUtilizationRates, lambda rates: rates.gpu / 100),
        ask(memory, lambda info: info.used / _GIB),
        ask(memory, lambda info: info.total / _GIB),
        ask(nvml.nvmlDeviceGetPowerUsage, lambda milliwatts: milliwatts / 1000),
        ask(lambda of: nvml.nvmlDeviceGetTemperature(of, nvml.NVML_TEMPERATURE_GPU), float),
    )
