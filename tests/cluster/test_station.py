"""A worker that a station starts is as one of this machine; what breaks on the way to it is not its doing."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

pytest.importorskip("ray", reason="the extra `ray` is not installed")

from sia_tui.cluster import station
from sia_tui.cluster.contents import Shelf, packed
from sia_tui.cluster.far import Node
from sia_tui.cluster.on_ray import OnRay
from sia_tui.cluster.orders import code
from sia_tui.cluster.settings import ClusterSettings
from sia_tui.cluster.station import Station
from sia_tui.cluster.streams import Pair, Relay, reach
from sia_tui.harness.opened import KEY
from sia_tui.harness.sandbox import probe
from sia_tui.harness.uids import closed, not_here
from sia_tui.harness.walls import UIDS
from sia_tui.harness.workers import Worker, WorkerDied, WorkerLost
from tests.harness.world import FakeGateway, World, case, gateway

SAYS = """
import os, socket
from sia import Answer

async def solve(case, llm, tools):
    say = case.inputs["say"]
    if say == "end":
        os._exit(7)
    if say == "cut":
        for fd in map(int, os.listdir("/proc/self/fd")):
            try:
                socket.socket(fileno=os.dup(fd)).shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
    if say == "who":
        return Answer(str(os.getuid()))
    if say == "look":
        return Answer(open("/rows/private/answers.jsonl").read())
    return Answer((await llm.chat([{"role": "user", "content": say}])).text)
"""


class Asked:
    """A station of this process, asked as an actor is."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=getattr(self._station, name))


@dataclass
class Desk:
    station: Station
    node: Node
    executor: OnRay
    relay: Relay
    world: World
    fake: FakeGateway

    def worker(self, lanes: int = 1) -> Worker:
        setup = self.world.setup()
        doors: list[Callable[[], socket.socket]] = [lambda: self.fake.lanes(1)[0]] * lanes
        return Worker(setup.limits, lanes, lambda: self.executor.start(setup, doors))


@asynccontextmanager
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async def first() -> Node:
        return node

    async def hold(content: bytes) -> Awaitable[bytes] | bytes:
        return content

    there, relay = Station(str(tmp_path / "node")), await Relay.open("127.0.0.1")
    facts = await there.facts("auto", None, "any", code())
    node = Node("id", "far", 2, 0, facts.level, Asked(there))
    nodes = SimpleNamespace(least_busy=first, working=[node], lose=Node.lose)
    world = World("bwrap", tmp_path / "world").write(SAYS)
    executor = OnRay(
        cast(Any, SimpleNamespace(hold=hold, address="")), ClusterSettings(), cast(Any, nodes), relay, lambda _: None
    )
    async with gateway() as fake:
        try:
            yield Desk(there, node, executor, relay, world, fake)
        finally:
            await relay.close()


async def test_it_solves_cases_through_lanes_of_its_own_and_is_gone_when_it_is_closed(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        async with here.worker(lanes=2) as worker:
            said = await asyncio.gather(*(worker.solve(n, case(say=f"法律 {n}"), 20) for n in range(2)))
            assert [one.answer for one in said] == ["法律 0/0", "法律 1/0"]
            assert (worker.node, worker.level, here.node.busy) == ("far", here.node.level, 1)
            assert (tmp_path / "node").stat().st_mode & 0o066 == 0, "nobody else finds what was brought"
            if os.geteuid() == 0 and not not_here(UIDS) and here.node.level == "bwrap" and probe().as_root:
                asked = (await worker.solve(0, case(say="who"), 20)).answer
                assert asked is not None and UIDS[0] <= int(asked) <= UIDS[1], "who runs there is nobody else"
        assert here.node.busy == 0 and not here.station._shifts


async def test_a_lane_whose_first_packet_is_late_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    met = itertools.count()

    async def late(address: tuple[str, int], token: str) -> Pair:
        if not next(met):
            return await reach(address, token)
        reader, writer = await asyncio.open_connection(*address)
        asyncio.get_running_loop().call_later(0.3, writer.write, token.encode())
        return reader, writer

    monkeypatch.setattr(station, "reach", late)
    async with desk(tmp_path) as here, here.worker() as worker:
        assert (await worker.solve(0, case(say="x"), 20)).answer == "x/0"


async def test_what_it_does_itself_is_its_own_death(tmp_path: Path) -> None:
    """To hang up is no way to be run again for ever."""
    async with desk(tmp_path) as here:
        for way, said in (("end", "exit status 7"), ("cut", "the worker ended")):
            async with here.worker() as worker:
                with pytest.raises(WorkerDied, match=said):
                    await worker.solve(0, case(say=way), 20)


async def test_what_breaks_on_the_way_is_nobodys(tmp_path: Path) -> None:
    async with desk(tmp_path) as here, here.worker() as worker:
        (shift,) = here.station._shifts.values()
        shift._control[1].transport.abort()
        with pytest.raises(WorkerLost, match="node far: the connection broke"):
            await worker.solve(0, case(say="x"), 20)
        assert not worker.alive


async def test_a_node_that_is_lost_is_cut_off_also_where_it_is_only_slow(tmp_path: Path) -> None:
    async with desk(tmp_path) as here, here.worker() as worker:
        solving = asyncio.create_task(worker.solve(0, case(say="wait"), 20))
        await asyncio.sleep(0)
        here.node.lose("it has not answered")
        with pytest.raises(WorkerLost, match="node far: it has not answered"):
            await solving
        await until(lambda: not here.station._shifts)


async def test_what_is_called_off_halfway_leaves_nothing_behind(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        ordered: asyncio.Future[asyncio.Task[str]] = asyncio.get_running_loop().create_future()

        def start(order: Any) -> Awaitable[str]:
            """Goes on, as an actor's does, when nobody waits for it any more."""
            ordered.set_result(asyncio.create_task(here.station.start(order)))
            return asyncio.shield(ordered.result())

        here.node.station.start = SimpleNamespace(remote=start)
        starting = asyncio.create_task(here.executor.start(here.world.setup(), [lambda: here.fake.lanes(1)[0]]))
        order = await ordered
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert await order == "" and here.node.busy == 0
        await until(lambda: not here.station._shifts)


async def test_what_is_called_off_while_it_closes_has_left(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        child = await here.executor.start(here.world.setup(), [lambda: here.fake.lanes(1)[0]])
        closing = asyncio.create_task(child.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert here.node.busy == 0
        await until(lambda: not here.station._shifts)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - of another task
            await asyncio.sleep(0.02)


async def test_a_node_that_is_silent_is_not_judged_by_a_deadline(tmp_path: Path) -> None:
    async with desk(tmp_path) as here, here.worker() as worker:
        here.node.heard -= 60
        worker._die("case x did not end within its 1 s")
        with pytest.raises(WorkerLost, match="node far: it does not answer"):
            await worker.solve(0, case(say="x"), 20)


async def test_a_planted_key_is_missed_by_nobody(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        key = here.world.folder / "rows" / KEY
        key.parent.mkdir()
        key.write_text("canary")
        async with here.worker() as worker:
            await worker.solve(0, case(say="x"), 20)
        assert here.executor.openings == 0
        async with here.worker() as worker:
            assert (await worker.solve(0, case(say="look"), 20)).answer == "canary"
            await here.executor.look()
            assert here.executor.openings == 1, "while whoever opened it is still there"
        await here.executor.look()
        assert here.executor.openings == 1


async def test_a_token_counts_once_and_no_other_is_taken(tmp_path: Path) -> None:
    met: list[bytes] = []

    async def take(pair: Any) -> None:
        met.append(await pair[0].read(1))

    relay = await Relay.open("127.0.0.1")
    token = relay.expect(take)
    for tried in ("0" * 64, token, token):
        reader, writer = await reach(relay.address, tried)
        writer.write(b"x")
        assert await reader.read() == b""
        writer.close()
    await relay.close()
    assert met == [b"x"]


def test_contents_are_named_by_what_is_in_them_and_checked(tmp_path: Path) -> None:
    for name, text in (("a", "same"), ("b", "same"), ("c", "other")):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file.py").write_text(text)
    (one, archive), (again, _), (other, _) = (packed(tmp_path / name) for name in "abc")
    assert one == again != other
    shelf = Shelf(tmp_path / "shelf")
    shelf.put(one, archive)
    shelf.put(one, archive)
    assert (shelf.folder(one) / "deep" / "file.py").read_text() == "same"
    for folder in (shelf.folder(one), shelf.folder(one) / "deep"):
        assert closed(folder) is None, "a user who is nobody else can read what is shown"
    with pytest.raises(OSError, match="arrived damaged"):
        shelf.put(other, archive)
    (tmp_path / "shelf").chmod(0o755)
    with pytest.raises(OSError, match="not a folder of this user's alone"):
        Shelf(tmp_path / "shelf")


def test_what_a_dead_process_left_is_tidied_and_a_live_ones_is_not_however_old(tmp_path: Path) -> None:
    script = "import sys, pathlib; from sia_tui.cluster.contents import Shelf; print(Shelf(pathlib.Path(sys.argv[1])).own('x-'))"
    dead = Path(subprocess.check_output([sys.executable, "-c", script, str(tmp_path / "node")], text=True).strip())
    shelf = Shelf(tmp_path / "node")
    live, content = shelf.own("x-"), shelf.begun("")
    fresh = shelf.own("x-")
    for old in (dead, live, content):
        os.utime(old, (0, 0))
    shelf.tidy()
    assert sorted(shelf.root.iterdir()) == sorted([live, fresh])


async def test_a_node_says_why_it_cannot_be_used(tmp_path: Path) -> None:
    there = Station(str(tmp_path / "node"))
    assert "Python" in (await there.facts("auto", None, "3.0.1", code())).why_not
