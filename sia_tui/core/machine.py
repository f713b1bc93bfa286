"""What the machine does while a run works on it, and how that is said in one line. Knows nothing of drivers or processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sia_tui.core.replicas import Serving

ABSENT = "n/a"


@dataclass(frozen=True)
class Gpu:
    """One GPU at one moment; None is what its driver does not tell, as of a MIG slice."""

    index: int
    busy: float | None = None
    """Share of the last moments in which it computed."""
    used_gib: float | None = None
    total_gib: float | None = None
    watts: float | None = None
    celsius: float | None = None


@dataclass(frozen=True)
class Usage:
    """The GPUs, and the processes of one engine: it and all it started."""

    gpus: tuple[Gpu, ...] = ()
    cores: float | None = None
    """CPU seconds a second since the reading before; None of the first one."""
    rss_gib: Mapping[str, float] = field(default_factory=dict)
    """Resident memory in GiB by what a process is for (`trainer`, `policy` …); shared pages count in each."""
    serving: tuple[Serving, ...] = ()
    """The policy's replicas; none where there is one server."""
    busy: Mapping[str, int] = field(default_factory=dict)
    """Episodes under way, by node of a cluster."""
    queue: int = 0
    """Episodes that wait for a free worker."""


def usage_from(data: Mapping[str, Any]) -> Usage:
    """The inverse of `dataclasses.asdict`. Raises TypeError, KeyError for anything else."""
    return Usage(
        tuple(Gpu(**gpu) for gpu in data["gpus"]),
        data["cores"],
        dict(data["rss_gib"]),
        tuple(Serving(**one) for one in data.get("serving", ())),
        dict(data.get("busy", {})),
        data.get("queue", 0),
    )


def told(usage: Usage) -> str:
    """`GPU 0-7 91 % 61/80 GiB 612 W 54 °C`, or of a machine without one its CPU and memory."""
    return _gpus(usage.gpus) if usage.gpus else f"{_host(usage)} · GPU {ABSENT}"


def _host(usage: Usage) -> str:
    cores = ABSENT if usage.cores is None else f"{usage.cores:.1f} cores"
    held = ", ".join(f"{name} {size:.1f}" for name, size in usage.rss_gib.items())
    return f"CPU {cores}, {held} GiB" if held else f"CPU {cores}"


def _gpus(gpus: Sequence[Gpu]) -> str:
    """Busy as the mean of all, the rest as the one nearest to its limit: that is the one to know of."""
    first, last = gpus[0].index, gpus[-1].index
    name = f"GPU {first}" if first == last else f"GPU {first}-{last}"
    busy = [gpu.busy for gpu in gpus if gpu.busy is not None]
    memory = [(gpu.used_gib, gpu.total_gib) for gpu in gpus if gpu.used_gib is not None and gpu.total_gib]
    share = f"{100 * sum(busy) / len(busy):.0f} %" if busy else f"{ABSENT} %"
    used, total = max(memory, key=lambda pair: pair[0] / pair[1]) if memory else (None, None)
    held = f"{used:.0f}/{total:.0f} GiB" if used is not None else f"{ABSENT} GiB"
    return f"{name} {share} {held} {_most(gpus, lambda gpu: gpu.watts)} W {_most(gpus, lambda gpu: gpu.celsius)} °C"


def _most(gpus: Sequence[Gpu], of: Callable[[Gpu], float | None]) -> str:
    known = [value for gpu in gpus if (value := of(gpu)) is not None]
    return f"{max(known):.0f}" if known else ABSENT
