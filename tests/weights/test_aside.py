"""What leaves a GPU in turns, and that it comes back to where it was. The GPUs are made up: no test here has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch

from sia_tui.weights.aside import Aside, held


@dataclass
class Memory:
    device: torch.device

    def to(self, device: str | torch.device) -> Memory:
        return Memory(torch.device(device))


@dataclass
class Lump:
    """A tensor, as far as it is moved."""

    data: Memory

    @property
    def device(self) -> torch.device:
        return self.data.device


def test_what_was_on_gpus_is_in_host_memory_until_it_is_back() -> None:
    homes = [torch.device(name) for name in ("cuda:0", "cpu", "cuda:1")]
    lumps = [Lump(Memory(home)) for home in homes]
    moved = Aside(cast(Any, iter(lumps)))
    assert {lump.device.type for lump in lumps} == {"cpu"}
    moved.back()
    assert [lump.device for lump in lumps] == homes


def test_all_that_outlives_a_step_is_moved() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    found = {id(tensor) for tensor in held(model, optimizer)}
    assert found >= {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
    assert found >= {id(state[name]) for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")}
    assert all(parameter.grad is None for parameter in model.parameters())
