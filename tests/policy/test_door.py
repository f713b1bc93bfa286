"""The door of a server on another machine: who is let in, what is let through, and a gateway whose adapters come by it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sia_tui.policy.client import Gateway, GatewayError
from sia_tui.policy.door import Settings
from sia_tui.policy.wire import Door
from sia_tui.policy.wire import Settings as Server
from tests.policy.conftest import Caller, Reference
from tests.policy.test_vllm import fake_python, off

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKEN = "t" * 40


@dataclass(frozen=True)
class Held:
    door: Door
    folder: Path
    process: asyncio.subprocess.Process


async def held(reference: Reference, folder: Path, name: str) -> Held:
    folder.mkdir()
    server = Server.model_validate(
        {
            "model_dir": str(reference.folder),
            "sockets": str(folder / "server"),
            "lanes": 1,
            "watch_stdin": True,
            "vllm": {"python": str(fake_python(folder))},
        }
    )
    config = folder / "door.json"
    config.write_text(Settings(host="127.0.0.1", token=TOKEN, server=server).model_dump_json())
    command = [sys.executable, "-m", "sia_tui.policy.door", "--config", str(config)]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(120):
        said = json.loads(await process.stdout.readline())
    return Held(Door(url=said["url"], token=TOKEN, where=f"node {name}"), folder / "server", process)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def two(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Held, Held]]:
    root = tmp_path_factory.mktemp("doors")
    made = await asyncio.gather(*(held(reference, root / name, name) for name in ("a", "b")))
    yield made[0], made[1]
    for one in made:
        if one.process.returncode is None:
            one.process.terminate()
        await one.process.wait()


async def test_it_opens_to_the_token_alone_and_for_what_a_gateway_asks(two: tuple[Held, Held]) -> None:
    import aiohttp

    url, sha256 = two[0].door.url, "a" * 64
    right = {"Authorization": f"Bearer {TOKEN}"}
    load = {"lora_name": "x", "lora_path": "/etc"}

    async def status(method: str, path: str, headers: dict[str, str], **more: Any) -> int:
        async with http.request(method, f"{url}{path}", headers=headers, **more) as answer:
            return answer.status

    async with aiohttp.ClientSession() as http:
        async with asyncio.timeout(120):
            while await status("GET", "/health", right) != 200:  # noqa: ASYNC110 - until vllm is up behind it
                await asyncio.sleep(0.05)
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {TOKEN}x"}):
            assert await status("GET", "/health", headers) == 401
            assert await status("POST", "/v1/completions", headers, json={}) == 401
        for path in ("/collective_rpc", "/reset_prefix_cache", "/v1/chat/completions"):
            assert await status("POST", path, right, json={}) == 404
        assert await status("POST", "/v1/load_lora_adapter", right, json=load) == 400
        assert await status("PUT", f"/adapters/{sha256}/adapter_model.bin", right, data=b"x") == 404
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            assert await status("PUT", f"/adapters/{sha256}/{name}", right, data=b"other content") == 200
        assert await status("POST", "/v1/load_lora_adapter", right, json=load | {"lora_path": sha256}) == 400
        assert await status("GET", f"/adapters/{sha256}", right) == 404


async def test_a_gateway_brings_adapters_through_doors_and_goes_on_with_another_server(
    reference: Reference, two: tuple[Held, Held], tmp_path: Path
) -> None:
    first, second = two
    settings: dict[str, Any] = {"backend": "vllm", "doors": tuple(one.door for one in two)}
    async with await Gateway.start(reference.folder, tmp_path, lanes=2, ready_s=120.0, **settings) as gateway:
        assert (tmp_path / "gateway" / "gateway.json").stat().st_mode & 0o077 == 0
        sha256 = await gateway.load_adapter("red", reference.adapters["red"])
        health = await gateway.health()
        assert [one["where"] for one in health["replicas"]] == ["node a", "node b"]
        assert [one["adapters"] for one in health["replicas"]] == [["red"], ["red"]]
        for one in two:
            assert (one.folder / "adapters" / sha256 / "adapter_config.json").is_file()
        await gateway.open_lane(0, "e", adapter="red")
        first.process.kill()
        await first.process.wait()
        caller = Caller(gateway, 0)
        for _ in range(2):
            assert (await off(caller.chat, "x", max_tokens=2))["choices"][0]["token_ids"] == [7, 7]
        other = await held(reference, tmp_path / "c", "c")
        await gateway.move(0, other.door, "its node is gone")
        async with asyncio.timeout(120):
            while not (health := await gateway.health())["replicas"][0]["adapters"]:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.05)
        assert [one["where"] for one in health["replicas"]] == ["node c", "node b"]
        with pytest.raises(GatewayError, match=r"400.*replicas 0 to 1"):
            await gateway.move(2, other.door, "x")
        await gateway.close_lane(0)
        await gateway.unload_adapter("red")
        assert not (second.folder / "adapters" / sha256).exists()
        (other.folder / "odd").write_text(reference.folder.name)
        await gateway.load_adapter("blue", reference.adapters["blue"])
        async with asyncio.timeout(60):
            await other.process.wait()
        assert [one["standing"] for one in (await gateway.health())["replicas"]] == ["out", "in"]
    assert other.process.stderr is not None
    said = (await other.process.stderr.read()).decode().splitlines()
    assert "answers otherwise than the others with the base" in said[-1], "whoever holds it starts another"
    assert second.process.stdin is not None
    second.process.stdin.close()
    async with asyncio.timeout(20):
        await second.process.wait()
    assert not second.folder.exists(), "token, log and adapters go with whoever held it"
