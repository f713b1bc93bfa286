"""An evaluation on a cluster of three nodes is the one that this machine makes, also where a node is killed in the middle."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from sia_tui.cluster.opening import executor
from sia_tui.core.event import Event
from sia_tui.core.nodes import EpisodesReissued, NodeJoined, NodeLost, Nodes, after
from tests.cluster.nodes import Cluster, nodes
from tests.cluster.small import evaluated, place

if find_spec("ray") is None:
    pytest.skip("the extra `ray` is not installed", allow_module_level=True)

NODES = 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with nodes(NODES, tmp_path_factory.mktemp("cluster") / "of-its-own") as made:
        yield made


async def test_an_evaluation_on_a_cluster_is_the_same_also_where_a_node_is_lost(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    events: list[Event] = []
    killed: list[asyncio.Future[None]] = []

    def kill(done: int) -> None:
        if done == 6:
            loop = asyncio.get_running_loop()
            killed.append(loop.run_in_executor(None, cluster.ray.remove_node, cluster.workers[-1], False))

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
    known: Nodes = ()
    for event in events:
        known = after(known, event)  # type: ignore[arg-type]
    assert sorted(node.standing for node in known) == ["lost", "working", "working"]
    assert os.environ["RAY_AUTH_MODE"] == "token" and os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
