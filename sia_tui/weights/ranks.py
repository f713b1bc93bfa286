"""The processes of one training. Each runs the whole of it on all rollouts and learns from its share of every step.

Alone, a process has rank 0 of 1, and nothing here costs anything. Needs torch only where there are several.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def size() -> int:
    distributed = _group()
    return distributed.get_world_size() if distributed else 1


def rank() -> int:
    distributed = _group()
    return distributed.get_rank() if distributed else 0


def first(value: T) -> T:
    """What rank 0 passed, at every rank. Whatever clocks, disks or the engine say, all must do the same about it."""
    distributed = _group()
    if not distributed:
        return value
    shared: list[Any] = [value]
    distributed.broadcast_object_list(shared, src=0)
    found: T = shared[0]
    return found


def everyone(value: T) -> Sequence[T]:
    """What each rank passed, by rank."""
    distributed = _group()
    if not distributed:
        return [value]
    found: list[Any] = [None] * size()
    distributed.all_gather_object(found, value)
    return found


def _group() -> Any:
    """torch.distributed, where this process is one of several."""
    torch = sys.modules.get("torch")
    distributed = getattr(torch, "distributed", None)
    return (
        distributed if distributed is not None and distributed.is_available() and distributed.is_initialized() else None
    )
