"""What a cluster costs and gives, on one machine: a node of Ray on loopback with as many workers as are asked for.

    python -m tests.benchmarks.bench_cluster [scaling] [engine] [ratio] [--address HOST:PORT]

- scaling: episodes of three calls to a model stub that answers by HTTP after 200 ms; episodes a second by workers of one lane
  each, beside the first one's times their number.
- engine: 64 such workers at once: what the engine's process (crew, streams, store) takes of a core, per episode and call too,
  and how long after its end an episode was in the store.
- ratio: the dev cases of a small task with a true little policy, by ray and by local in turns: the median of the pairs.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from sia_tui.cluster.executor import Executor
from sia_tui.cluster.joining import Joined, joined
from sia_tui.cluster.settings import ClusterSettings
from sia_tui.core.episodes import Attempt, Score
from sia_tui.engine.crew import Place
from sia_tui.engine.lots import Trial
from sia_tui.policy.client import Gateway
from sia_tui.store.writer import RunStore
from tests.cluster.small import evaluate, evaluated, place

LATENCY_S, CALLS = 0.2, 3
WIDTHS = (1, 2, 4, 8)
EACH = 12
"""Episodes of a worker; its start is left out."""
MANY = 64
ROUNDS = 5
ASKS = f"""
from sia import Answer

async def solve(case, llm, tools):
    for turn in range({CALLS}):
        said = await llm.chat([{{"role": "user", "content": f"{{turn}} " + case.inputs["text"][:40]}}], max_tokens=8)
    return Answer(said.text)
"""


def stub(pipe: Any) -> None:
    """A model that takes its time, in a process of its own."""
    from aiohttp import web

    async def chat(http: web.Request) -> web.Response:
        await http.read()
        await asyncio.sleep(LATENCY_S)
        message = {"role": "assistant", "content": "盗窃"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 20, "completion_tokens": 2}})

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", chat)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(serve())


@contextmanager
def stubbed() -> Iterator[str]:
    """Its address."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=stub, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1"
    finally:
        process.terminate()


@asynccontextmanager
async def waiting(root: Path, lanes: int) -> AsyncIterator[Place]:
    """A small task before the stub."""
    async with place(root, lanes=2, per_charge=200) as small:
        (root / "harness" / "harness.py").write_text(ASKS)
        with stubbed() as address:
            async with await Gateway.start(
                root / "model", root / "slow", lanes=lanes, backend="remote", address=address, model="stub"
            ) as gateway:
                yield replace(small, gateway=gateway)


def workers(cluster: Joined, slots: int | None) -> AbstractAsyncContextManager[Executor]:
    """On every node of it so many."""
    from sia_tui.cluster.on_ray import on_ray  # Ray reads its environment when it is imported

    settings = ClusterSettings(executor="ray", slots=slots, reissue=None)
    return on_ray(cluster, settings, "auto", None, lambda event: None)


class Narrow:
    """A gateway of which fewer lanes are used."""

    def __init__(self, gateway: Gateway, lanes: int) -> None:
        self._gateway, self.lanes = gateway, lanes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)


async def rate(here: Place, far: Executor, width: int) -> float:
    """Episodes a second, once every worker has made one and until the first has none left."""
    ends: list[float] = []
    cases = here.task.ids("dev")[: EACH * width]
    await evaluate(here, far, lambda *_: ends.append(time.perf_counter()), cases)
    assert len(ends) == EACH * width
    first, last = 2 * width - 1, len(ends) - width
    return (last - first) / (ends[last] - ends[first])


async def scaling(root: Path, cluster: Joined) -> None:
    print(f"| workers (load {os.getloadavg()[0]:.1f}) | episodes/s | of linear |")
    print("|---|---|---|")
    first = 0.0
    async with waiting(root, lanes=WIDTHS[-1] + 1) as here:
        for width in WIDTHS:
            narrow = replace(here, gateway=cast(Gateway, Narrow(here.gateway, width + 1)))
            async with workers(cluster, width) as far:
                found = await rate(narrow, far, width)
            first = first or found
            print(f"| {width} | {found:.2f} | {found / first / width:.2f} |", flush=True)


async def engine(root: Path, cluster: Joined) -> None:
    waits: list[float] = []
    delays: list[float] = []
    async with waiting(root, lanes=MANY + 1) as here, workers(cluster, MANY) as far:
        with RunStore(root / "run.db") as store:
            began: list[tuple[float, float]] = []

            def done(trial: Trial, attempt: Attempt, score: Score) -> None:
                if not began:
                    began.append((time.perf_counter(), time.process_time()))
                before = time.perf_counter()
                store.record_episode(trial.case.id, "key", attempt, score)
                waits.append(time.perf_counter() - before)

            beating = asyncio.create_task(_late(delays))
            await evaluate(here, far, done)
            wall, cpu = time.perf_counter() - began[0][0], time.process_time() - began[0][1]
            beating.cancel()
    count = len(waits)
    print(f"{MANY} workers, {count} episodes of {CALLS} calls in {wall:.1f} s (load {os.getloadavg()[0]:.1f}):")
    print(
        f"engine {cpu / wall:.0%} of a core, {1000 * cpu / count:.1f} ms an episode, {1000 * cpu / count / CALLS:.1f} a call;"
    )
    print(f"store: {1000 * statistics.median(waits):.1f} ms an episode, the slowest {1000 * max(waits):.0f} ms;")
    print(f"engine's loop late by at most {1000 * max(delays):.0f} ms")


async def _late(delays: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.05)
        delays.append(time.perf_counter() - before - 0.05)


async def ratio(root: Path, cluster: Joined) -> None:
    took: dict[str, list[float]] = {"local": [], "ray": []}
    async with place(root, lanes=32, per_charge=100) as here, workers(cluster, None) as far:
        for turn in range(ROUNDS + 1):
            for name, by in (("local", None), ("ray", far)):
                before = time.perf_counter()
                await evaluated(here, by)
                if turn:
                    took[name].append(time.perf_counter() - before)
    pairs = [ray / local for ray, local in zip(took["ray"], took["local"], strict=True)]
    said = ", ".join(f"{name} {statistics.median(times):.2f} s" for name, times in took.items())
    print(
        f"evaluation of {len(here.task.ids('dev'))} cases: {said}; ray / local {statistics.median(pairs):.2f} ({ROUNDS} pairs)"
    )


async def measured(names: Sequence[str], address: str | None) -> None:
    settings = ClusterSettings(executor="ray", address=address)
    with tempfile.TemporaryDirectory(prefix="sia-cluster-") as folder:
        async with joined(settings, Path(folder) / "cluster") as cluster:
            for name in names:
                root = Path(folder) / name
                root.mkdir()
                await {"scaling": scaling, "engine": engine, "ratio": ratio}[name](root, cluster)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["scaling", "engine", "ratio"])
    parser.add_argument("--address", help="of a Ray cluster that runs already; default: one of this machine alone")
    told = parser.parse_args()
    asyncio.run(measured(told.parts, told.address))


if __name__ == "__main__":
    main()
