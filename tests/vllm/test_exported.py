"""What is exported, loaded by a real vLLM: the adapter's folder beside its base, and the merged model in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from sia_tui.engine.proof import probe_gap
from sia_tui.policy.client import Gateway
from sia_tui.policy.export import write_adapter, write_merged
from tests.policy.conftest import Reference
from tests.policy.tiny import make_model
from tests.vllm.conftest import SERVING
from tests.vllm.test_serving import greedy

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_exported_adapter_is_loaded_by_its_folder(
    gateway: Gateway, reference: Reference, tmp_path: Path
) -> None:
    write_adapter(reference.adapters["red"], reference.folder, "house/tiny", tmp_path)
    await gateway.load_adapter("exported", tmp_path)
    assert await probe_gap(gateway, "exported", [greedy(reference, "red")]) < 5e-4
    await gateway.unload_adapter("exported")


async def test_a_merged_model_in_shards_says_what_the_adapter_says(reference: Reference, tmp_path: Path) -> None:
    base = make_model(tmp_path / "base", hidden=128, shard="300KB")
    (tmp_path / "merged").mkdir()
    write_merged(reference.adapters["red"], base, tmp_path / "merged")
    assert len(list((tmp_path / "merged").glob("*.safetensors"))) > 2
    async with await Gateway.start(tmp_path / "merged", tmp_path, lanes=1, ready_s=280.0, **SERVING) as merged:
        assert await probe_gap(merged, None, [greedy(reference, "red")]) < 5e-4
