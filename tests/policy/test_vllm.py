"""The gateway over what speaks as vLLM does: what it asks for, in which order, and what it makes of a server that fails.

tests/vllm/ holds the same backend to a real vLLM.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sia_tui.policy.client import Gateway, GatewayDied, GatewayError
from sia_tui.policy.vllm_server import LOGS, new_log
from tests.policy.conftest import Caller, Reference
from tests.policy.fake_vllm import BREAKS, HANGS

pytestmark = pytest.mark.asyncio(loop_scope="session")

FAKE = Path(__file__).parent / "fake_vllm.py"


@asynccontextmanager
async def served(reference: Reference, run: Path, gpus: tuple[int, ...] = (), **vllm: Any) -> AsyncIterator[Gateway]:
    settings = {"backend": "vllm", "vllm": {"python": str(fake_python(run)), "rank": 20, **vllm}, "gpus": gpus}
    async with await Gateway.start(reference.folder, run, lanes=4, ready_s=60.0, **settings) as gateway:
        yield gateway


def fake_python(folder: Path) -> Path:
    """An interpreter that has the fake for vllm."""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    python.chmod(0o755)
    return python


@dataclass(frozen=True)
class Served:
    """A gateway and what its server was asked since the test began."""

    gateway: Gateway
    run: Path
    before: int = 0

    @property
    def asked(self) -> list[tuple[str, dict[str, Any]]]:
        return asked(self.run)[self.before :]


def asked(run: Path, server: str = "") -> list[tuple[str, dict[str, Any]]]:
    file = run / "gateway" / server / "asked.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(line["path"], line["body"]) for line in map(json.loads, lines)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One for all tests that leave it as they found it."""
    run = tmp_path_factory.mktemp("shared")
    async with served(reference, run, gpus=(2, 5), adapters=3, arguments=["--seed", "1"]) as gateway:
        yield Served(gateway, run)


@pytest.fixture
def server(shared: Served) -> Served:
    return replace(shared, before=len(asked(shared.run)))


async def off(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return await asyncio.to_thread(function, *arguments, **named)


async def test_a_request_says_all_that_shapes_the_answer(reference: Reference, server: Served) -> None:
    gateway = server.gateway
    await gateway.open_lane(0, "e", train=True, seed=5)
    await off(Caller(gateway, 0).chat, "hello", max_tokens=6, temperature=0.2, top_p=0.5, n=2)
    calls = await gateway.close_lane(0)
    (_, first), (_, second) = server.asked
    prompt = reference.prompt("hello")
    assert first["prompt"] == prompt == list(calls[0].prompt_ids) and first["model"] == "tiny"
    assert (first["temperature"], first["top_p"], first["top_k"], first["min_p"]) == (1.0, 1.0, -1, 0.0)
    assert first["repetition_penalty"] == 1.0 and first["presence_penalty"] == first["frequency_penalty"] == 0.0
    assert first["stop_token_ids"] == [reference.tokenizer.eos_token_id] and not first["ignore_eos"]
    assert first["return_token_ids"] and first["logprobs"] == 0
    assert 0 <= first["seed"] != second["seed"] < 2**63
    assert [call.completion_ids for call in calls] == [(7,) * 6] * 2 and calls[0].logprobs == (-0.5,) * 6


async def test_it_is_started_on_a_socket_with_what_hot_loading_needs(shared: Served) -> None:
    environment = json.loads((shared.run / "gateway" / "environment.json").read_text())
    assert (environment["CUDA_VISIBLE_DEVICES"], environment["CUDA_DEVICE_ORDER"]) == ("2,5", "PCI_BUS_ID")
    command = json.loads((shared.run / "gateway" / "command.json").read_text())
    flags = dict(itertools.pairwise(command))
    assert flags["--uds"] == "vllm.sock" and not {"--host", "--port"} & set(command)
    assert (flags["--max-loras"], flags["--max-lora-rank"]) == ("3", "32")
    assert flags["--logprobs-mode"] == "processed_logprobs" and flags["--generation-config"] == "vllm"
    assert "--enable-lora" in command and command[-2:] == ["--seed", "1"]


async def test_every_content_gets_a_name_of_its_own_and_the_old_goes_after_the_new_came(
    reference: Reference, server: Served
) -> None:
    gateway = server.gateway
    red = await gateway.load_adapter("step-1", reference.adapters["red"])
    assert red == await gateway.load_adapter("step-1", reference.adapters["red"])
    blue = await gateway.load_adapter("step-2", reference.adapters["blue"])
    await gateway.open_lane(0, "e", adapter="step-2")
    await off(Caller(gateway, 0).chat, "x", max_tokens=2)
    assert (await gateway.close_lane(0))[0].adapter == "step-2"
    await gateway.unload_adapter("step-1")
    with pytest.raises(GatewayError, match="404"):
        await gateway.unload_adapter("step-1")
    assert (await gateway.health())["adapters"] == {"step-2": blue}
    new, old = f"step-2-{blue[:12]}", f"step-1-{red[:12]}"
    load = ["/pause?mode=keep", "/v1/load_lora_adapter", "/resume"]
    assert [path for path, _ in server.asked] == [*load, *load, "/v1/completions", "/v1/unload_lora_adapter"]
    bodies = [body for path, body in server.asked if "lora" in path]
    assert bodies[1] == {"lora_name": new, "lora_path": str(reference.adapters["blue"])}
    assert bodies[2] == {"lora_name": old} and server.asked[6][1]["model"] == new
    await gateway.unload_adapter("step-2")


async def test_asleep_it_opens_no_lane_and_awake_it_serves_the_same_under_new_names_or_not_at_all(
    reference: Reference, tmp_path: Path
) -> None:
    async with served(reference, tmp_path) as gateway:
        sha256 = await gateway.load_adapter("red", reference.adapters["red"])
        await gateway.open_lane(0, "e")
        with pytest.raises(GatewayError, match=r"409.*lane 0 is open"):
            await gateway.sleep()
        await gateway.close_lane(0)
        await gateway.sleep()
        await gateway.sleep()
        for refused in (gateway.open_lane(0, "e"), gateway.load_adapter("b", reference.adapters["blue"])):
            with pytest.raises(GatewayError, match=r"409.*sleeps"):
                await refused
        assert (await gateway.health())["status"] == "asleep"
        await gateway.wake()
        await gateway.wake()
        assert (await gateway.health())["adapters"] == {"red": sha256}
        paths = [path for path, _ in asked(tmp_path)]
        assert paths.count("/sleep?level=1") == paths.count("/wake_up") == 1
        names = [body["lora_name"] for path, body in asked(tmp_path) if path == "/v1/load_lora_adapter"]
        assert names == [f"red-{sha256[:12]}", f"red-{sha256[:12]}-1"]
        await gateway.load_adapter("drifts", reference.adapters["blue"])
        await gateway.sleep()
        with pytest.raises(GatewayDied, match="drifts answers otherwise than before vllm slept"):
            await gateway.wake()


async def test_an_engine_that_breaks_ends_the_gateway_with_its_own_words(reference: Reference, tmp_path: Path) -> None:
    async with served(reference, tmp_path) as gateway:
        await gateway.open_lane(0, "e")
        call = asyncio.create_task(off(Caller(gateway, 0).chat, "x", max_tokens=BREAKS))
        death = await gateway.wait_died()
        with pytest.raises(Exception, match=r"closed|reset"):
            await call
    assert "with 500: RuntimeError: CUDA error: an illegal memory access (log: " in str(death)


async def test_a_hang_ends_the_gateway(reference: Reference, tmp_path: Path) -> None:
    async with served(reference, tmp_path, hang_s=2.0) as gateway:
        await gateway.open_lane(0, "e")
        call = asyncio.create_task(off(Caller(gateway, 0).chat, "x", max_tokens=HANGS))
        death = await gateway.wait_died()
        assert "vllm hangs: 1 requests and no token in" in str(death)
        with pytest.raises(Exception, match=r"closed|reset"):
            await call


async def test_a_killed_server_is_noticed_and_a_killed_gateway_takes_its_server_along(
    reference: Reference, tmp_path: Path
) -> None:
    async with served(reference, tmp_path) as gateway:
        os.kill(child(gateway.pid), signal.SIGKILL)
        assert "vllm ended with status -9" in str(await gateway.wait_died())
    (tmp_path / "again").mkdir()
    async with served(reference, tmp_path / "again") as gateway:
        server = child(gateway.pid)
        os.kill(gateway.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            while Path(f"/proc/{server}").exists():  # noqa: ASYNC110 - somebody else's process tells nobody of its end
                await asyncio.sleep(0.02)


async def test_what_is_named_as_the_log_of_one_that_was_lost_is_not_emptied_by_the_next(tmp_path: Path) -> None:
    for number in range(1, LOGS + 3):
        log = new_log(tmp_path)
        log.write_text("said")
        assert log.name == f"vllm-{number}.log"
    assert len(list(tmp_path.iterdir())) == LOGS and all(one.read_text() for one in tmp_path.iterdir())


async def test_one_that_cannot_start_says_why(reference: Reference, tmp_path: Path) -> None:
    with pytest.raises(GatewayDied, match=r"vllm ended with status 1: ValueError: No available memory"):
        async with served(reference, tmp_path, arguments=["--broken"]):
            pass


async def test_a_server_at_an_address_is_used_and_left_running(reference: Reference, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--served-model-name", "theirs", "--max-model-len", "100", "--port", str(port)]
    command = [sys.executable, str(FAKE), "vllm.entrypoints.openai.api_server", *flags]
    server = await asyncio.create_subprocess_exec(*command, cwd=tmp_path)
    settings = {"backend": "vllm", "address": f"http://127.0.0.1:{port}/v1"}
    async with await Gateway.start(reference.folder, tmp_path, lanes=1, ready_s=60.0, **settings) as gateway:
        assert (await gateway.health())["context"] == 100
        await gateway.load_adapter("red", reference.adapters["red"])
        await gateway.open_lane(0, "e")
        await off(Caller(gateway, 0).chat, "x", max_tokens=2)
        assert len(await gateway.close_lane(0)) == 1
    lines = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    assert lines[-1]["body"]["model"] == "theirs"
    assert server.returncode is None
    server.terminate()
    await server.wait()


def child(pid: int) -> int:
    (found,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(found)


async def test_its_cache_and_its_queue_are_told(shared: Served) -> None:
    """Of both engines behind it: the fullest cache, all that wait."""
    async with asyncio.timeout(20):
        while "kv_cache" not in (health := await shared.gateway.health()):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)
    assert (health["kv_cache"], health["queue_depth"]) == (0.5, 3)
    assert health["prefix_queries"] == 2 * health["prefix_hits"]
