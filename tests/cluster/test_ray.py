"""An evaluation on a cluster of three nodes is the one that this machine makes, also where a node is killed in the middle."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sia_tui.cluster.joining import environment
from sia_tui.cluster.opening import executor
from sia_tui.cluster.settings import ClusterSettings
from sia_tui.core.event import Event
from sia_tui.core.nodes import EpisodesReissued, NodeJoined, NodeLost, Nodes, after
from tests.cluster.small import evaluated, place

if find_spec("ray") is None:
    pytest.skip("the extra `ray` is not installed", allow_module_level=True)

NODES = 3


@dataclass
class Cluster:
    """Of nodes that are processes of this machine, on loopback and behind a token."""

    ray: Any
    worker: Any
    settings: ClusterSettings


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    own = environment(ClusterSettings(executor="ray"), tmp_path_factory.mktemp("cluster") / "of-its-own")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own.items():
            patch.setenv(name, value)
        from ray._private import authentication_test_utils, ray_constants
        from ray.cluster_utils import Cluster as Nodes

        # Another test of this process may have imported it before it was told.
        patch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
        authentication_test_utils.reset_auth_token_state()
        nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            _, last = (nodes.add_node(num_cpus=1, wait=False) for _ in range(NODES - 1))
            nodes.wait_for_nodes()
            yield Cluster(nodes, last, ClusterSettings(executor="ray", address=nodes.address))
        finally:
            nodes.shutdown()


async def test_an_evaluation_on_a_cluster_is_the_same_also_where_a_node_is_lost(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    events: list[Event] = []
    killed: list[asyncio.Future[None]] = []

    def kill(done: int) -> None:
        if done == 6:
            loop = asyncio.get_running_loop()
            killed.append(loop.run_in_executor(None, cluster.ray.remove_node, cluster.worker, False))

    async with (
        place(tmp_path, lanes=2 * NODES + 1, wait_s=0.25) as here,
        executor(cluster.settings, "auto", None, tmp_path / "token", events.append) as far,
    ):
        assert far.abreast(1) == NODES
        alone = await evaluated(here)
        assert len(alone) == len(here.task.ids("dev")) and all(error is None for _, _, _, error, _, _ in alone.values())
        assert {score.failure for *_, score in alone.values()} == {None, "wrong"}
        assert await evaluated(here, far) == alone
        assert [type(event) for event in events] == [NodeJoined] * NODES
        assert await evaluated(here, far, kill) == alone
        await killed[0]
    lost = [event for event in events if isinstance(event, NodeLost)]
    anew = [event for event in events if isinstance(event, EpisodesReissued)]
    assert len(lost) == 1 and {event.node for event in anew if event.why == "lost"} <= {lost[0].node}, events
    # Where the machine is busy, all that the lost node had in hand may have been begun elsewhere before, as late.
    assert lost[0].node in {event.node for event in anew}, events
    nodes: Nodes = ()
    for event in events:
        nodes = after(nodes, event)  # type: ignore[arg-type]
    assert sorted(node.standing for node in nodes) == ["lost", "working", "working"]
    assert os.environ["RAY_AUTH_MODE"] == "token" and os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
