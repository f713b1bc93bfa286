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
import fcntl
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self

import numpy as np

from sia_tui.tasks.trimul.programs import Place, end, launch
from sia_tui.tasks.trimul.reference import Floats, Inputs, placed
from sia_tui.tasks.trimul.spec import Shape

Failure = Literal["compile", "crash", "timeout", "wrong", "cheating", "held"]

START_S: Final = 20.0
"""For the process to come up on a busy machine; no candidate's code has run by then."""
LOAD_S: Final = 5.0
LOOK_S: Final = 0.05
PAGE: Final = 4096
GUARD: Final = 0xA5
_ADD_SEALS, _SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW, _SEAL_FUTURE_WRITE = 1033, 1, 2, 4, 16
_PASS_CREDENTIALS: Final = 16


class KernelFailed(Exception):
    """A call, or the loading, that did not end well: what kind of failure it is, and one line of why."""

    def __init__(self, kind: Failure, why: str) -> None:
        super().__init__(why)
        self.kind = kind


class RunnerFailed(Exception):
    """The process did not come up: the machine's fault or the sandbox', never the kernel's."""


@dataclass(frozen=True)
class Answer:
    """What a call gave: the outputs as they were when it said it was done, and the seconds of processor time it took."""

    out: Floats
    seconds: float


class Kernel:
    """A kernel loaded for one shape; context manager. Raises RunnerFailed, and KernelFailed for the kernel's own faults."""

    def __init__(self, place: Place, library: str, shape: Shape) -> None:
        self._shape = shape
        self._read_at = 0.0
        self._placed = tuple(placed(shape))
        _, start, length = self._placed[-1]
        self._inputs = _Shared(start + length)
        self._out_bytes = 4 * int(np.prod(shape.out))
        self._outputs = _Shared(PAGE + self._out_bytes + PAGE, writable_by_others=True)
        self._guards = (slice(0, PAGE), slice(PAGE + self._out_bytes, None))
        self._control, theirs = socket.socketpair()
        self._control.setsockopt(socket.SOL_SOCKET, _PASS_CREDENTIALS, 1)
        self._process = launch(place.run, theirs.fileno(), subprocess.DEVNULL)
        theirs.close()
        try:
            self._pid = self._greet()
            self._clock = _clock_of(self._pid)
            self._load(place, library)
        except BaseException:
            self.close()
            raise

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
        self._tell(b"!")
        self._wait(cpu_limit, ends)
        found = out.reshape(self._shape.out).copy()
        now = self._now()
        seconds, self._read_at = now - self._read_at, now
        self._look_for_tricks(inputs)
        return Answer(found, seconds)

    def pin(self, processor: int) -> None:
        """To one processor from now on: two that are compared meet the same neighbours there."""
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(self._pid, {processor})

    def close(self) -> None:
        end(self._process)
        self._control.close()
        self._inputs.close()
        self._outputs.close()

    def _greet(self) -> int:
        """The process' id as this side knows it, vouched for by the system, before any of the kernel's code runs."""
        self._control.settimeout(START_S)
        try:
            said, about, _, _ = self._control.recvmsg(16, socket.CMSG_SPACE(12))
        except TimeoutError:
            raise RunnerFailed(f"the kernel's process did not start within {START_S:g} s") from None
        if said != b"up\n":
            raise RunnerFailed(f"the kernel's process did not start: {self._ending()}")
        return int(struct.unpack("iII", about[0][2])[0])

    def _load(self, place: Place, library: str) -> None:
        header = {
            "library": library,
            "preload": str(place.preload) if place.preload else None,
            "inputs": self._inputs.size,
            "outputs": self._outputs.size,
            "starts": [start for _, start, _ in self._placed],
            "out": PAGE,
            "work": 4 * self._shape.work,
            "sizes": self._shape.sizes,
        }
        files = [self._inputs.descriptor, self._outputs.descriptor]
        socket.send_fds(self._control, [json.dumps(header).encode()], files)
        self._control.settimeout(LOAD_S)
        try:
            said = self._control.recv(4096)
        except TimeoutError:
            raise KernelFailed("timeout", f"it was not loaded within {LOAD_S:g} s") from None
        if not said:
            raise KernelFailed("crash", f"while it was loaded: {self._ending()}")
        if said.startswith(b"failed: "):
            raise KernelFailed("compile", said[8:].decode("utf-8", "replace").strip())
        if said != b"loaded\n":
            raise KernelFailed("cheating", "it wrote to the runner's socket while it was loaded")
        self._read_at = self._now()

    def _tell(self, byte: bytes) -> None:
        try:
            self._control.sendall(byte)
        except OSError:
            raise KernelFailed("crash", f"between two calls: {self._ending()}") from None

    def _wait(self, cpu_limit: float, ends: float) -> None:
        spent = self._now()
        self._control.settimeout(LOOK_S)
        while True:
            try:
                said = self._control.recv(2)
                break
            except TimeoutError:
                if self._now() - spent > cpu_limit:
                    raise KernelFailed("timeout", f"a call took more than {cpu_limit:.2g} s") from None
                if time.monotonic() > ends:
                    raise KernelFailed("timeout", "its calls were not over in time") from None
            except OSError:
                said = b""
                break
        if not said:
            raise KernelFailed("crash", f"during a call: {self._ending()}")
        if said != b".":
            raise KernelFailed("cheating", "it wrote to the runner's socket itself")

    def _look_for_tricks(self, inputs: Inputs) -> None:
        for name, start, length in self._placed:
            if not np.array_equal(self._inputs.bytes[start : start + length], inputs[name].reshape(-1).view(np.uint8)):
                raise KernelFailed("cheating", f"it changed its input {name}")
        if any((self._outputs.bytes[guard] != GUARD).any() for guard in self._guards):
            raise KernelFailed("cheating", "it wrote beside its output")
        self._control.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            if self._control.recv(1, socket.MSG_PEEK):
                raise KernelFailed("cheating", "it answered without being asked")

    def _now(self) -> float:
        try:
            return time.clock_gettime_ns(self._clock) * 1e-9
        except OSError:
            raise KernelFailed("crash", self._ending()) from None

    def _ending(self) -> str:
        try:
            code = self._process.wait(2)
        except subprocess.TimeoutExpired:
            return "it closed the runner's socket"
        number = -code if code < 0 else code - 128
        if number in {one.value for one in signal.Signals}:
            return f"killed by {signal.Signals(number).name}"
        return f"it ended by itself with status {code}"


class _Shared:
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


def _clock_of(process: int) -> int:
    """The number of another process' processor clock: what clock_getcpuclockid gives."""
    return (~process << 3) | 2
