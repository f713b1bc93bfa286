"""Memory that two processes see."""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import Final

import numpy as np

_ADD_SEALS: Final = 1033
_SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW, _SEAL_FUTURE_WRITE = 1, 2, 4, 16


class Shared:
    """A memory file that keeps its size, and that nobody else may come to write unless asked for."""

    def __init__(self, size: int, writable_by_others: bool = False) -> None:
        self.size = size
        self.descriptor = os.memfd_create("kernel", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, size)
        self._map = mmap.mmap(self.descriptor, size)
        self.bytes = np.frombuffer(self._map, dtype=np.uint8)
        held = _SEAL_SHRINK | _SEAL_GROW | _SEAL_SEAL | (0 if writable_by_others else _SEAL_FUTURE_WRITE)
        fcntl.fcntl(self.descriptor, _ADD_SEALS, held)

    def close(self) -> None:
        os.close(self.descriptor)
