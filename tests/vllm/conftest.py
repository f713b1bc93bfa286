"""A real vLLM behind our gateway: one server for all tests, since each takes most of a minute to start."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sia_tui.policy.client import Gateway
from tests.policy.conftest import Reference
from tests.policy.tiny import make_adapter, make_model

PYTHON = Path(os.environ.get("VLLM_PYTHON", ".venv-vllm/bin/python")).absolute()
SERVING = {
    "backend": "vllm",
    "vllm": {"python": str(PYTHON), "adapters": 4, "rank": 8, "arguments": ["--max-num-batched-tokens", "300"]},
}


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Heads of 32 numbers, the least that vLLM's attention on CPUs has a kernel for."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("vllm")
    folder = make_model(root / "tiny", hidden=128)
    adapters = {name: make_adapter(folder, root / name, seed=seed) for name, seed in (("red", 1), ("blue", 2))}
    model = AutoModelForCausalLM.from_pretrained(folder)
    return Reference(folder, adapters, AutoTokenizer.from_pretrained(folder), model.eval())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    deep = tmp_path_factory.mktemp("run") / ("a" * 60) / ("b" * 60)
    async with await Gateway.start(reference.folder, deep, lanes=8, ready_s=280.0, **SERVING) as started:
        yield started
