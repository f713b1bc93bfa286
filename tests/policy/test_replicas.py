"""Several servers behind one gateway: who is asked, what is published to all, who is taken out and how it comes back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.policy import replicas, vllm
from sia_tui.policy.client import Gateway, GatewayError
from sia_tui.policy.replica import Replica, most_agreed, replicas_of
from sia_tui.policy.replicas import MOST_DEVIATIONS, Replicas
from sia_tui.policy.vllm import furthest
from sia_tui.policy.wire import Settings, VLLMSettings
from tests.policy.conftest import Caller, Reference
from tests.policy.fake_vllm import BREAKS, SLOW
from tests.policy.test_vllm import asked, fake_python, off

in_session = pytest.mark.asyncio(loop_scope="session")
LAG_S, TOLERANCE = 3.0, 0.02


@dataclass(frozen=True)
class Several:
    gateway: Gateway
    run: Path

    def folder(self, replica: int) -> Path:
        return self.run / "gateway" / f"replica-{replica}"

    async def until(self, *standing: str) -> dict[str, Any]:
        """The gateway's health once its replicas stand so."""
        async with asyncio.timeout(120):
            while standings(health := await self.gateway.health()) != standing:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.05)
        return health


def standings(health: dict[str, Any]) -> tuple[str, ...]:
    return tuple(one["standing"] for one in health["replicas"])


def rows(health: dict[str, Any]) -> list[int]:
    return [one["rows"] for one in health["replicas"]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def three(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Several]:
    """One for all tests; the last one ends it."""
    run = tmp_path_factory.mktemp("three")
    settings: dict[str, Any] = {"backend": "vllm", "vllm": {"python": str(fake_python(run))}, "lag_s": LAG_S}
    async with await Gateway.start(reference.folder, run, lanes=8, ready_s=120.0, replicas=3, **settings) as gateway:
        yield Several(gateway, run)


@in_session
async def test_what_one_leaves_unanswered_goes_to_the_others_and_it_comes_back_with_what_is_served(
    reference: Reference, three: Several
) -> None:
    gateway = three.gateway
    await three.until("in", "in", "in")
    red = await gateway.load_adapter("red", reference.adapters["red"])
    for lane in range(6):
        await gateway.open_lane(lane, f"e{lane}", adapter="red")
    slow = [asyncio.create_task(off(Caller(gateway, lane).chat, "x", max_tokens=SLOW)) for lane in range(6)]
    async with asyncio.timeout(60):
        while sum(busy := rows(await gateway.health())) < 6:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)
    assert busy == [2, 2, 2]
    os.kill(serving(gateway.pid, three.folder(1)), signal.SIGKILL)
    for answer in await asyncio.gather(*slow):
        assert answer["choices"][0]["token_ids"] == [7] * SLOW
    for lane in range(6):
        assert len(await gateway.close_lane(lane)) == 1
    health = await three.until("in", "in", "in")
    assert health["reissued"] == 2 and health["adapters"] == {"red": red}
    lost, back = health["happened"]
    assert (lost["replica"], lost["back"], lost["rows"], lost["left"]) == (1, False, 2, 2)
    assert "vllm" in lost["why"] and (back["replica"], back["back"], back["left"]) == (1, True, 3)
    assert [one["adapters"] for one in health["replicas"]] == [["red"]] * 3
    loads = [body["lora_name"] for path, body in asked(three.run, "replica-1") if path == "/v1/load_lora_adapter"]
    assert loads == [f"red-{red[:12]}", f"red-{red[:12]}-1"]
    await gateway.unload_adapter("red")


@in_session
async def test_one_that_is_late_or_answers_otherwise_serves_nothing_until_it_agrees(
    reference: Reference, three: Several
) -> None:
    gateway = three.gateway
    before = len((await three.until("in", "in", "in"))["happened"])
    odd, late = three.folder(0) / "odd", three.folder(2) / "late"
    odd.write_text("blue")
    await gateway.load_adapter("blue", reference.adapters["blue"])
    health = await gateway.health()
    assert standings(health) == ("out", "in", "in")
    why = "answers otherwise than the others with adapter blue (0.500 nats)"
    assert [one["why"] for one in health["happened"][before:]] == [why]
    odd.unlink()
    await three.until("in", "in", "in")
    late.touch()
    await gateway.load_adapter("red", reference.adapters["red"])
    health = await gateway.health()
    assert standings(health) == ("in", "in", "behind")
    assert health["happened"][-1]["why"] == f"does not have adapter red {LAG_S:g} s after the others"
    late.unlink()
    health = await three.until("in", "in", "in")
    assert [one["adapters"] for one in health["replicas"]] == [["blue", "red"]] * 3
    await gateway.unload_adapter("blue")
    await gateway.unload_adapter("red")
    with pytest.raises(GatewayError, match="404"):
        await gateway.unload_adapter("blue")
    with pytest.raises(GatewayError, match=r"400.*adapter_config\.json is missing"):
        await gateway.load_adapter("none", three.run)


@in_session
async def test_they_sleep_and_wake_together_but_for_one_that_wakes_another(
    reference: Reference, three: Several
) -> None:
    gateway = three.gateway
    sha256 = await gateway.load_adapter("red", reference.adapters["red"])
    await gateway.sleep()
    assert (await gateway.health())["status"] == "asleep"
    (three.folder(1) / "odd").touch()
    await gateway.wake()
    health = await three.until("in", "out", "in")
    assert health["adapters"] == {"red": sha256}
    assert "answers otherwise than before vllm slept (0.500 nats)" in health["happened"][-1]["why"]


@in_session
async def test_with_none_left_the_gateway_ends_and_says_why(three: Several) -> None:
    gateway = three.gateway
    await gateway.open_lane(0, "e")
    call = asyncio.create_task(off(Caller(gateway, 0).chat, "x", max_tokens=BREAKS))
    death = await gateway.wait_died()
    with pytest.raises(Exception, match=r"closed|reset"):
        await call
    assert "no replica is left, the last: vllm answers /v1/completions with 500: RuntimeError: CUDA error" in str(death)


@in_session
async def test_gpus_are_split_in_order(tmp_path: Path) -> None:
    split = VLLMSettings(tensor_parallel=2)
    settings = Settings(
        model_dir="m", sockets=str(tmp_path), lanes=1, device="cuda", gpus=(0, 1, 4, 5), replicas=2, vllm=split
    )
    found = list(replicas_of(settings))
    assert [one.settings.gpus for one in found] == [(0, 1), (4, 5)]
    assert [one.where for one in found] == ["GPU 0, 1", "GPU 4, 5"]


class Server:
    """Of this process; it always says the same."""

    context = 64
    adapters: Mapping[str, str] = {}

    def __init__(self, logprob: float) -> None:
        self._logprob = logprob

    async def probe(self, adapter: str | None) -> list[float]:
        return [self._logprob]

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def wake(self) -> None:
        pass


@asynccontextmanager
async def come_up(
    monkeypatch: pytest.MonkeyPatch, folder: Path, said: Sequence[float | None], openings: list[int] | None = None
) -> AsyncIterator[Replicas]:
    """Ready, where each server says so, or nothing for ever; none comes up twice, unless openings are counted."""

    @asynccontextmanager
    async def opened(settings: Settings, base: object, door: object, opening: int) -> AsyncIterator[Server]:
        logprob = said[int(settings.sockets[-1])]
        if openings is not None:
            openings.append(int(settings.sockets[-1]))
        elif opening:
            logprob = None
        if logprob is None:
            await asyncio.Event().wait()
        yield Server(cast(float, logprob))

    monkeypatch.setattr(vllm, "opened", opened)
    base = vllm.Base(cast(Any, None), 64, 9, frozenset())
    made = Replicas(
        Settings(model_dir="m", sockets=str(folder), lanes=1, replicas=len(said), backend="vllm", lag_s=0.2), base
    )
    try:
        async with asyncio.timeout(20):
            await made.ready()
        yield made
    finally:
        await made.close()


@in_session
@pytest.mark.parametrize(
    ("said", "standing"),
    [
        ((-2.0, -1.0, -1.0), ("out", "in", "in")),
        ((-1.0, None, -1.0), ("in", "starting", "in")),
        ((-1.0,), ("in",)),
    ],
)
async def test_what_the_base_says_is_decided_by_most_and_whoever_hangs_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: Sequence[float | None], standing: tuple[str, ...]
) -> None:
    async with come_up(monkeypatch, tmp_path, said) as made:
        assert tuple(one.standing for one in made._all) == standing


@in_session
async def test_one_that_never_says_what_the_others_say_is_left_out_until_it_is_moved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(replicas, "FIRST_PAUSE_S", 0.0)
    openings = list[int]()
    async with come_up(monkeypatch, tmp_path, (-2.0, -1.0, -1.0), openings) as made:
        for times in (1, 2):
            async with asyncio.timeout(20):
                while len(made._happened) < 2 * times:  # noqa: ASYNC110 - of another task
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            assert openings.count(0) == times * MOST_DEVIATIONS
            assert "(1.000 nats), 3 times in a row: it stays out" in made._happened[-1]["why"]
            made._all[0].standing = "starting"
            made._all[0].moved.set()


@in_session
async def test_a_server_lost_while_the_policy_sleeps_is_opened_when_it_wakes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened = list[int]()
    async with come_up(monkeypatch, tmp_path, (-1.0, -1.0)) as made:
        monkeypatch.setattr(replicas, "FIRST_PAUSE_S", 0.0)
        monkeypatch.setattr(replicas, "LONGEST_PAUSE_S", 0.0)

        async def live(replica: Replica, opening: int) -> None:
            opened.append(replica.number)
            await asyncio.Event().wait()

        monkeypatch.setattr(made, "_live", live)
        made._asleep = True
        await made._take_out(made._all[0], "lost")
        await asyncio.sleep(0.05)
        assert opened == []
        await made.wake()
        async with asyncio.timeout(20):
            while not opened:  # noqa: ASYNC110 - of another task
                await asyncio.sleep(0.01)
        assert opened == [0]


@given(st.lists(st.sampled_from([0.0, 0.01, 1.0, 2.0]), min_size=1, max_size=7))
def test_most_decide_what_is_right_and_of_as_many_the_first(said: list[float]) -> None:
    folder = Settings(model_dir="m", sockets="s", lanes=1, replicas=len(said))
    found = asyncio.run(agreed(folder, said))
    groups = [sum(furthest([x], [y]) <= TOLERANCE for y in said) for x in said]
    assert groups[found] == max(groups) and found == groups.index(max(groups))


async def agreed(settings: Settings, said: list[float]) -> int:
    replicas = list(replicas_of(settings))
    return most_agreed({one: [logprob] for one, logprob in zip(replicas, said, strict=True)}, TOLERANCE).number


def serving(gateway: int, folder: Path) -> int:
    """The process that was started in the folder."""
    children = map(int, Path(f"/proc/{gateway}/task/{gateway}/children").read_text().split())
    return next(pid for pid in children if Path(f"/proc/{pid}/cwd").resolve() == folder.resolve())
