"""An evaluation on a cluster of three nodes is the one that this machine makes, also where a node is killed in the middle."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sia_tui.cluster.executor import Executor
from sia_tui.cluster.joining import environment
from sia_tui.cluster.opening import executor
from sia_tui.cluster.settings import ClusterSettings
from sia_tui.config import HarnessConfig
from sia_tui.core.episodes import Attempt, Score
from sia_tui.core.event import Event
from sia_tui.core.nodes import EpisodesReissued, NodeJoined, NodeLost, Nodes, after
from sia_tui.engine.crew import Crew, Harness, Place
from sia_tui.engine.lots import Trial
from sia_tui.engine.rollout import Rollout, Terms
from sia_tui.harness.environment import base_interpreter
from sia_tui.harness.sandbox import choose, probe
from sia_tui.policy.client import Gateway
from sia_tui.tasks import lawbench
from sia_tui.tasks.verifier import VerifierProcess
from tests.lawbench_shaped import write_lawbench_shaped
from tests.policy.tiny import make_model

if find_spec("ray") is None:
    pytest.skip("the extra `ray` is not installed", allow_module_level=True)

NODES = 3
ASKS = """
import asyncio
from sia import Answer

async def solve(case, llm, tools):
    await asyncio.sleep(0.25)
    text = case.inputs["text"]
    said = await llm.chat([{"role": "user", "content": text[:12]}], max_tokens=8, temperature=1.0)
    return Answer(tools.nearest(text), notes={"said": said.text})
"""
LOOKS = """
import json

class Tools:
    def __init__(self, rows):
        with open(rows / "rows.jsonl", encoding="utf-8") as lines:
            self.rows = [(pairs(row["inputs"]["text"]), row["label"]) for row in map(json.loads, lines)]

    def nearest(self, text):
        return max(self.rows, key=lambda row: len(row[0] & pairs(text)))[1]

def pairs(text):
    return {text[i : i + 2] for i in range(len(text) - 1)}

def load(rows, out):
    return Tools(rows)
"""


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


@asynccontextmanager
async def place(root: Path) -> AsyncIterator[Place]:
    write_lawbench_shaped(root / "data", charges=6, per_charge=20)
    task = lawbench.load(root / "data", seed=0, folds=3, dev=0.2, hidden=0.1, limit=None)
    for name in ("rows", "tools", "harness", "run"):
        (root / name).mkdir()
    (root / "harness" / "harness.py").write_text(ASKS)
    (root / "harness" / "tools.py").write_text(LOOKS)
    gold = {case: task.gold[case] for case in task.ids("dev")}
    async with (
        await Gateway.start(make_model(root / "model"), root / "run", lanes=2 * NODES + 1) as gateway,
        VerifierProcess(root / "verifier", gold, task.labels, task.judge) as verifier,
    ):
        yield Place(
            task=task,
            gateway=gateway,
            verifier=verifier,
            python=base_interpreter(),
            level=choose("auto", probe()),
            config=HarnessConfig(),
            rows_root=root / "rows",
            tools_root=root / "tools",
            log=root / "harness.log",
            seed=0,
        )


async def evaluated(
    where: Place, by: Executor | None = None, each: Callable[[int], None] = lambda done: None
) -> dict[str, tuple[Any, ...]]:
    """What became of each dev case; `each` is called after every one of them."""
    made: dict[str, tuple[Any, ...]] = {}
    place = replace(where, executor=by) if by is not None else where
    harness = Harness(where.log.parent / "harness", {"harness.py": ASKS, "tools.py": LOOKS}, "key")

    def done(trial: Trial, attempt: Attempt, score: Score) -> None:
        assert trial.case.id not in made, "an episode counts once"
        calls = [(call.prompt_ids, call.completion_ids, call.text) for call in attempt.calls]
        made[trial.case.id] = (attempt.answer, attempt.notes, calls, attempt.error, attempt.isolation, score)
        each(len(made))

    async with Crew(place, harness, views=1) as crew:
        trials = [Trial(place.task.cases[case]) for case in place.task.ids("dev")]
        await Rollout(place, harness, crew, lambda: False).run(trials, Terms(None), done)
    return made


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
        place(tmp_path) as here,
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
    assert len(lost) == 1 and {event.node for event in anew if event.why == "lost"} == {lost[0].node}, events
    nodes: Nodes = ()
    for event in events:
        nodes = after(nodes, event)  # type: ignore[arg-type]
    assert sorted(node.standing for node in nodes) == ["lost", "working", "working"]
    assert os.environ["RAY_AUTH_MODE"] == "token" and os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
