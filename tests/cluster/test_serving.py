"""The policy's servers on the nodes of a cluster: one goes with its node and is started on another, with what is served."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sia_tui.cluster import contents
from sia_tui.cluster.executor import ClusterError
from sia_tui.cluster.joining import joined
from sia_tui.cluster.serving import Holder, Servers
from sia_tui.policy.client import Gateway
from sia_tui.policy.wire import Door
from tests.cluster.nodes import Cluster
from tests.cluster.test_ray import cluster
from tests.policy.fake_vllm import SLOW
from tests.policy.test_vllm import fake_python, off
from tests.policy.tiny import make_adapter, make_model

if find_spec("ray") is None:
    pytest.skip("the extra `ray` is not installed", allow_module_level=True)

__all__ = ["cluster"]


def test_what_a_holder_leaves_is_gone_once_it_failed_or_another_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(contents, "JUST_NOW_S", 0.0)
    server = {"model_dir": str(tmp_path / "none"), "lanes": 1}
    for _ in range(2):
        with pytest.raises(ClusterError, match=r"no model in .*none on this node"):
            Holder(server, "t" * 40).listens()
        assert not list(tmp_path.rglob("*server-*"))
        code = f"from sia_tui.cluster.serving import Holder; import os; Holder({server!r}, 't' * 40); os._exit(0)"
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, timeout=60, check=True
        )
        assert list(tmp_path.rglob("*server-*"))


@pytest.mark.long
async def test_a_server_that_went_with_its_node_is_started_on_another(cluster: Cluster, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    red = make_adapter(model, tmp_path / "red", seed=1)
    server = {"model_dir": str(model), "lanes": 1, "vllm": {"python": str(fake_python(tmp_path))}}
    async with joined(cluster.settings, tmp_path / "token"):
        servers = Servers(2, server, 0, print)
        try:
            doors = await servers.start(300.0)
            assert len({door.url for door in doors}) == 2 and len(set(servers.nodes)) == 2
            options: dict[str, Any] = {"backend": "vllm", "doors": doors}
            async with await Gateway.start(model, tmp_path, lanes=2, ready_s=300.0, **options) as gateway:
                sha256 = await gateway.load_adapter("red", red)
                moved: list[tuple[int, str]] = []

                async def told(number: int, door: Door, why: str) -> None:
                    moved.append((number, why))
                    await gateway.move(number, door, why)

                keeping = asyncio.create_task(servers.keep(told))
                gone = next(
                    number for number, node in enumerate(servers.nodes) if node != cluster.ray.head_node.node_id
                )
                node = next(one for one in cluster.ray.worker_nodes if one.node_id == servers.nodes[gone])
                await gateway.open_lane(0, "e", adapter="red")
                call = asyncio.create_task(gateway.chat(0, [{"role": "user", "content": "x"}], SLOW))
                await off(cluster.ray.remove_node, node, False)
                assert (await call)["usage"]["completion_tokens"] == SLOW
                async with asyncio.timeout(300):
                    while not moved or (await gateway.health())["replicas"][gone]["adapters"] != ["red"]:  # noqa: ASYNC110
                        await asyncio.sleep(0.2)
                keeping.cancel()
                health = await gateway.health()
                assert moved[0][0] == gone and "gone" in moved[0][1] and health["adapters"] == {"red": sha256}
                assert [one["standing"] for one in health["replicas"]] == ["in", "in"]
                assert servers.nodes[gone] != node.node_id
        finally:
            await servers.stop()
