"""What this core can do at most, measured like any kernel."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from sia_tui.tasks.trimul.compiling import compiled
from sia_tui.tasks.trimul.kernel import Kernel
from sia_tui.tasks.trimul.programs import LIBRARY, Place
from sia_tui.tasks.trimul.reference import make_inputs
from sia_tui.tasks.trimul.spec import Shape

REPEATS: Final = 20
CALL_S: Final = 20.0
_SHAPE: Final = Shape(1, 8, 16, 16)


@dataclass(frozen=True)
class Machine:
    """One core's peaks."""

    flops: float
    """fp32 operations a second, from registers."""
    bandwidth: float
    """Bytes a second, from the second level cache."""

    def bound(self, operations: float, bytes: float) -> float:
        """Seconds below which nothing that does so much fp32 arithmetic and moves so much memory can be done."""
        return max(operations / self.flops, bytes / self.bandwidth)

    def best(self, other: Machine) -> Machine:
        return Machine(max(self.flops, other.flops), max(self.bandwidth, other.bandwidth))


def measured(place: Place, repeats: int = REPEATS) -> Machine:
    """The best of some repeats each. Half precision is faster than this: who uses it is held, and a person looks."""
    source = Path(__file__).with_name("peak.c").read_text("utf-8")
    return Machine(_best(place, f"#define FLOPS\n{source}", repeats), _best(place, source, repeats))


def _best(place: Place, source: str, repeats: int) -> float:
    compiled(place, source)
    inputs = make_inputs(_SHAPE, np.random.default_rng(0))
    with Kernel(place, _SHAPE) as kernel:
        kernel.load(LIBRARY)
        answers = [kernel.call(inputs, CALL_S, time.monotonic() + CALL_S) for _ in range(repeats)]
    return max(float(answer.out.flat[0]) / answer.seconds for answer in answers)
