"""The memory of one shape: what a module is given and fills, as the judging side has it.

**The clock** starts before the inputs are anywhere a module could see them and stops when its outputs have been read into
memory that it cannot reach: the inputs are copied over, the cache is cleared, the module is told, it answers, the outputs
are copied away; all by the wall, in this process. What the same takes with a module that writes one number (`idle`) is
taken off. So nothing that a module does earns time: answering early (its kernels and the copy of the outputs take turns
on the GPU, whose time does not grow, and what is not there yet is wrong), streams and threads of its own, a clock or an
event it has bent, a loop that waits for the inputs, work while it should be at rest. CUDA's events would be finer, but
belong to the process that records them. The price: the two copies and the turns of two processes are in every
measurement and in the correction, and with them their noise, some microseconds a call, which repeats average out.
This holds as long as the GPU gives its time to one process at a time; under MPS it does not, so modules cannot join one.

**Inputs** are compared, after a call, with a copy that only this process has; on the CPU they cannot be written at all.
**Outputs** are poisoned with NaN before each call and lie between two pages whose bytes must not change.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Any, Final

from sia_tui.tasks.trimul.gpu.contract import NAMED, config_of
from sia_tui.tasks.trimul.gpu.memory import Device, opened, view
from sia_tui.tasks.trimul.gpu.truth import Tensors
from sia_tui.tasks.trimul.peer import KernelFailed
from sia_tui.tasks.trimul.reference import placed
from sia_tui.tasks.trimul.shared import Shared
from sia_tui.tasks.trimul.spec import Shape

PAGE: Final = 4096
GUARD: Final = 0xA5
CLEARED: Final = 256 << 20
"""Bytes written between inputs and call: five times an H100's second level cache."""


class Stage:
    """`close` it. Raises DriverFailed where the GPU does not give the memory."""

    def __init__(self, device: Device, shape: Shape) -> None:
        import torch

        self.device, self.shape = device, shape
        self._placed = tuple(placed(shape))
        _, start, length = self._placed[-1]
        self._out_bytes = 4 * math.prod(shape.out)
        self._blocks = [_Block(device, start + length, False), _Block(device, PAGE + self._out_bytes + PAGE, True)]
        inputs, outputs = (block.bytes for block in self._blocks)
        self._inputs = {name: view(inputs, at, shape.arguments[name]) for name, at, _ in self._placed}
        self._out = view(outputs, PAGE, shape.out)
        self._guards = (outputs[:PAGE], outputs[PAGE + self._out_bytes :])
        self._taken = torch.empty_like(self._out)
        self._cleared = torch.empty(CLEARED if device == "cuda" else 0, dtype=torch.uint8, device=device)

    @property
    def descriptors(self) -> list[int]:
        return [block.descriptor for block in self._blocks]

    def header(self, module: str) -> dict[str, Any]:
        """What a worker is told."""
        arrays = [(NAMED.get(name, name), start, self.shape.arguments[name]) for name, start, _ in self._placed]
        return {
            "module": module,
            "inputs": self._blocks[0].size,
            "outputs": self._blocks[1].size,
            "arrays": arrays,
            "out": PAGE,
            "shape": self.shape.out,
            "config": config_of(self.shape),
        }

    def timed(self, inputs: Tensors, call: Callable[[], None]) -> tuple[Any, float]:
        """(outputs, seconds) of one call on new inputs; the tensor is good until the next. Raises KernelFailed for tricks."""
        for guard in self._guards:
            guard.fill_(GUARD)
        self._out.fill_(math.nan)
        self.settle()
        started = time.perf_counter()
        for name, tensor in inputs.items():
            self._inputs[name].copy_(tensor)
        self._cleared.fill_(1)
        self.settle()
        call()
        self._taken.copy_(self._out)
        self.settle()
        seconds = time.perf_counter() - started
        self._look_for_tricks(inputs)
        return self._taken, seconds

    def settle(self) -> None:
        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()

    def close(self) -> None:
        self._inputs.clear()
        del self._out, self._guards
        while self._blocks:
            self._blocks.pop().close()

    def _look_for_tricks(self, inputs: Tensors) -> None:
        for name, tensor in inputs.items():
            if not self._inputs[name].equal(tensor):
                raise KernelFailed("cheating", f"it changed its input {name}")
        if any((guard != GUARD).any() for guard in self._guards):
            raise KernelFailed("cheating", "it wrote beside its output")


class _Block:
    def __init__(self, device: Device, size: int, writable: bool) -> None:
        if device == "cpu":
            self._shared = Shared(size, writable_by_others=writable)
            self.descriptor, self.size = self._shared.descriptor, size
            import torch

            self.bytes = torch.from_numpy(self._shared.bytes)
            return
        from sia_tui.tasks.trimul.gpu.driver import Driver

        self._driver = Driver()
        self.descriptor, self.size = self._driver.create(size)
        self.bytes = opened(device, self.descriptor, self.size, True, self._driver)

    def close(self) -> None:
        address, on_gpu = self.bytes.data_ptr(), self.bytes.is_cuda
        del self.bytes
        os.close(self.descriptor)
        if on_gpu:
            self._driver.unmap(address, self.size)
