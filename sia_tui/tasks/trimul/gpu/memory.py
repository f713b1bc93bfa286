"""Blocks of memory that runner and candidate both see: on the GPU, or in the host's memory where there is none.

Both sides import this; the candidate's with nothing of the package but `driver` beside it.
"""

from __future__ import annotations

import math
import mmap
import warnings
from typing import Any, Literal

Device = Literal["cuda", "cpu"]


class Raw:
    """Bytes at an address of a GPU, as torch takes them (`__cuda_array_interface__`, version 3)."""

    def __init__(self, address: int, size: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (size,),
            "typestr": "|u1",
            "data": (address, False),
            "strides": None,
            "version": 3,
        }


def opened(device: Device, descriptor: int, size: int, writable: bool, driver: Any = None) -> Any:
    """The block's bytes, a uint8 tensor. On a GPU nothing keeps a process from writing to what it has mapped."""
    import torch

    if device == "cuda":
        return torch.as_tensor(Raw(driver.map(descriptor, size), size), device="cuda")
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.frombuffer(mmap.mmap(descriptor, size, prot=protection), dtype=torch.uint8)


def view(block: Any, start: int, shape: tuple[int, ...]) -> Any:
    """Floats of a block, from its byte `start`."""
    import torch

    return block[start : start + 4 * math.prod(shape)].view(torch.float32).view(shape)
