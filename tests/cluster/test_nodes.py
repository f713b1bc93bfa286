"""Which nodes take part, and how long one that says nothing is waited for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

pytest.importorskip("ray", reason="the extra `ray` is not installed")

from ray.exceptions import RayError

from sia_tui.cluster import joining, nodes, serving
from sia_tui.cluster.executor import ClusterError
from sia_tui.cluster.nodes import Nodes
from sia_tui.cluster.orders import Facts
from sia_tui.cluster.serving import Servers
from sia_tui.cluster.settings import ClusterSettings
from sia_tui.core.event import Event
from sia_tui.core.nodes import NodeJoined, NodeLost, NodeRefused


def info(name: str, gpus: int = 0) -> dict[str, Any]:
    found = {"CPU": 2.0, "GPU": float(gpus)}
    return {"NodeID": name, "NodeName": name, "NodeManagerAddress": "", "Alive": True, "Resources": found}


async def never(*_: Any) -> Any:
    await asyncio.Event().wait()


async def joins(*_: Any) -> Facts:
    return Facts("bwrap")


async def weak(*_: Any) -> Facts:
    return Facts("none", "no sandbox")


async def breaks(*_: Any) -> Facts:
    raise RayError("a traceback\nModuleNotFoundError: No module named 'sia_tui'")


Says = Callable[..., Awaitable[Facts]]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - of another task
            await asyncio.sleep(0.01)


async def test_a_node_that_answers_late_is_asked_again_and_refused_ones_count_for_as_long_as_they_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("BEGIN_S", 0.05), ("AGAIN_S", 0.01), ("LOOK_S", 0.01)):
        monkeypatch.setattr(nodes, name, value)
    there, told = [info("mine", 6), info("cold", 8), info("weak", 4), info("lacking")], list[Event]()
    says: dict[str, list[Says]] = {
        "mine": [joins],
        "cold": [never, never, joins],
        "weak": [weak],
        "lacking": [breaks, breaks],
    }

    async def ask(what: object) -> list[dict[str, Any]]:
        return list(there)

    def station(node: str) -> Any:
        facts = says[node].pop(0) if says[node] else breaks
        return SimpleNamespace(facts=SimpleNamespace(remote=facts), ping=SimpleNamespace(remote=never))

    found = Nodes(
        cast(Any, SimpleNamespace(ask=ask, node="mine")), ClusterSettings(executor="ray"), "auto", None, told.append
    )
    monkeypatch.setattr(found, "_station", station)
    try:
        await found.begin()
        await until(lambda: len(found.working) == 2)
        assert sorted(node.name for node in found.working) == ["cold", "mine"]
        await until(lambda: not says["lacking"])
        there.pop(2)
        await until(lambda: NodeLost("weak", "it has left the cluster") in told)
    finally:
        await found.end()
    assert NodeJoined("mine", 2, 6, "bwrap", own=True) in told and NodeRefused("weak", "no sandbox", 4) in told
    cold = [event for event in told if getattr(event, "node", "") == "cold"]
    assert cold == [
        NodeRefused("cold", "no answer within 0.05 s (a cold disk?); it is asked again", 8),
        NodeJoined("cold", 2, 8, "bwrap"),
    ]
    (lacking,) = (event for event in told if isinstance(event, NodeRefused) and event.node == "lacking")
    assert lacking.why.endswith("ModuleNotFoundError: No module named 'sia_tui'; it is tried again"), "said once"


async def test_servers_are_ended_though_they_say_nothing_or_never_listened(monkeypatch: pytest.MonkeyPatch) -> None:
    said, killed, stopped = list[str](), list[object](), list[str]()

    def holder(name: str, ended: Any) -> Any:
        async def stop() -> None:
            stopped.append(name)

        return SimpleNamespace(ended=SimpleNamespace(remote=ended), stop=SimpleNamespace(remote=stop))

    async def why() -> str:
        return "vllm ended with status 1"

    monkeypatch.setattr(serving, "LAST_S", 0.05)
    monkeypatch.setattr("ray.kill", killed.append)
    servers = Servers(4, {}, 0, said.append)
    servers._holders = [holder("mute", never), holder("mute too", never), holder("gone", why), holder("waits", never)]
    servers.nodes = ["a", "b", "c", ""]
    held = list(servers._holders)
    async with asyncio.timeout(20):
        await servers.stop()
    assert killed == held and stopped == ["mute", "mute too", "gone"]
    assert said == [
        "server 0 of the policy, when it was to end: its node says nothing for 0.05 s",
        "server 1 of the policy, when it was to end: its node says nothing for 0.05 s",
        "server 2 of the policy, when it was to end: vllm ended with status 1",
    ]


def test_what_ray_is_started_with_is_not_what_this_process_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[str | None]()

    def init(**_: object) -> None:
        seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
        raise OSError("no")

    monkeypatch.setattr("ray.init", init)
    for before in (None, "0,1,2"):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if before is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
        for address, gpus in ((None, "1,2"), (None, ""), (None, None), ("10.0.0.1:6379", "1,2")):
            with pytest.raises(ClusterError):
                joining._begin(ClusterSettings(executor="ray", address=address), gpus)
            assert seen[-1] == (before if address or gpus is None else gpus)
            assert os.environ.get("CUDA_VISIBLE_DEVICES") == before
