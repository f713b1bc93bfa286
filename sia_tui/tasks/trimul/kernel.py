"""One loaded kernel in its process: given inputs, asked, timed and read, from outside.

**The clock.** A call costs what the kernel's process, all its threads, got of the processors from the moment the answer of
the call before had been read until the moment this call's had been read, as Linux counts it (clock_getcpuclockid(3),
nanoseconds, kept at every context switch). New inputs are written in between. So nothing the process does goes unpaid:
answering early and working on, threads that finish later, working while it should be at rest, waiting for the next inputs
in a loop. There is no clock in its process to be turned, and another process that takes its turn costs it nothing. The
price: sleeping is free (the deadline's business), a second thread would gain nothing (the walls refuse it anyhow), and a
call includes one system call to answer and one to wait (5 to 40 microseconds, the same for the baseline).

**Inputs** lie in a memory file sealed against every later writable mapping; **outputs** in one that cannot be resized,
poisoned with NaN before each call, between two pages whose bytes must not change.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import numpy as np

from sia_tui.tasks.trimul.peer import KernelFailed, Peer
from sia_tui.tasks.trimul.programs import Place
from sia_tui.tasks.trimul.reference import Floats, Inputs, placed
from sia_tui.tasks.trimul.shared import Shared
from sia_tui.tasks.trimul.spec import Shape

START_S: Final = 20.0
"""For the process to come up on a busy machine; no candidate's code has run by then."""
LOAD_S: Final = 5.0
PAGE: Final = 4096
GUARD: Final = 0xA5


@dataclass(frozen=True)
class Answer:
    """What a call gave: the outputs as they were when it said it was done, and the seconds of processor time it took."""

    out: Floats
    seconds: float


class Kernel:
    """A kernel of one shape; context manager. Its process comes up at once, beside whatever compiles the kernel, and holds
    none of its code until `load`. Raises RunnerFailed, and KernelFailed for the kernel's own faults."""

    def __init__(self, place: Place, shape: Shape) -> None:
        self._place, self._shape = place, shape
        self.loaded = False
        self._read_at = 0.0
        self._placed = tuple(placed(shape))
        _, start, length = self._placed[-1]
        self._inputs = Shared(start + length)
        self._out_bytes = 4 * int(np.prod(shape.out))
        self._outputs = Shared(PAGE + self._out_bytes + PAGE, writable_by_others=True)
        self._guards = (slice(0, PAGE), slice(PAGE + self._out_bytes, None))
        self._peer = Peer(place.run)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(self, inputs: Inputs, cpu_limit: float, ends: float) -> Answer:
        """One call on new inputs. A timeout is more than `cpu_limit` s of processor time, or the monotonic clock's `ends`."""
        for name, start, length in self._placed:
            self._inputs.bytes[start : start + length] = inputs[name].reshape(-1).view(np.uint8)
        self._outputs.bytes[:] = GUARD
        out = self._outputs.bytes[PAGE : PAGE + self._out_bytes].view(np.float32)
        out[:] = np.nan
        self._peer.tell(b"!")
        self._peer.wait(self._watch(cpu_limit, ends))
        found = out.reshape(self._shape.out).copy()
        now = self._now()
        seconds, self._read_at = now - self._read_at, now
        self._look_for_tricks(inputs)
        return Answer(found, seconds)

    def pin(self, processor: int) -> None:
        """To one processor from now on: two that are compared meet the same neighbours there."""
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(self._peer.pid, {processor})

    def close(self) -> None:
        self._peer.close()
        self._inputs.close()
        self._outputs.close()

    def load(self, library: str) -> None:
        """A file of the place's folder; once, before the first call."""
        preload = self._place.preload
        self._clock = _clock_of(self._peer.greeted(START_S))
        header = {
            "library": library,
            "preload": str(preload) if preload else None,
            "inputs": self._inputs.size,
            "outputs": self._outputs.size,
            "starts": [start for _, start, _ in self._placed],
            "out": PAGE,
            "work": 4 * self._shape.work,
            "sizes": self._shape.sizes,
        }
        self._peer.load(header, [self._inputs.descriptor, self._outputs.descriptor], LOAD_S)
        self._read_at, self.loaded = self._now(), True

    def _watch(self, cpu_limit: float, ends: float) -> Callable[[], None]:
        spent = self._now()

        def late() -> None:
            if self._now() - spent > cpu_limit:
                raise KernelFailed("timeout", f"a call took more than {cpu_limit:.2g} s") from None
            if time.monotonic() > ends:
                raise KernelFailed("timeout", "its calls were not over in time") from None

        return late

    def _look_for_tricks(self, inputs: Inputs) -> None:
        for name, start, length in self._placed:
            if not np.array_equal(self._inputs.bytes[start : start + length], inputs[name].reshape(-1).view(np.uint8)):
                raise KernelFailed("cheating", f"it changed its input {name}")
        if any((self._outputs.bytes[guard] != GUARD).any() for guard in self._guards):
            raise KernelFailed("cheating", "it wrote beside its output")
        self._peer.unasked()

    def _now(self) -> float:
        try:
            return time.clock_gettime_ns(self._clock) * 1e-9
        except OSError:
            raise KernelFailed("crash", self._peer.ending()) from None


def _clock_of(process: int) -> int:
    """The number of another process' processor clock: what clock_getcpuclockid gives."""
    return (~process << 3) | 2
