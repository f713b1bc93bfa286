"""The trainer's memory on GPUs that it shares: moved to the host while the policy answers, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

HOST = "cpu"


class Aside:
    """What was on a GPU, in the host's memory until `back`."""

    def __init__(self, tensors: Iterator[torch.Tensor]) -> None:
        """Tensor by tensor, in place: `Module.to` refuses a model that is spread over several GPUs."""
        self._homes = [(tensor, tensor.device) for tensor in tensors if tensor.device.type != "cpu"]
        for tensor, _ in self._homes:
            tensor.data = tensor.data.to(HOST)
        torch.cuda.empty_cache()

    def back(self) -> None:
        for tensor, home in self._homes:
            tensor.data = tensor.data.to(home)


def held(model: Any, optimizer: Any) -> Iterator[torch.Tensor]:
    """Every tensor of both that outlives a step; between steps there are no gradients."""
    yield from model.parameters()
    yield from model.buffers()
    for state in optimizer.state.values() if optimizer is not None else ():
        yield from (value for value in state.values() if isinstance(value, torch.Tensor))
