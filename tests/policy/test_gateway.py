"""The gateway as a real process: what goes over its sockets and what the engine gets to know of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sia_tui.policy.client import Gateway, GatewayDied, GatewayError
from tests.policy.conftest import Caller, Reference

pytestmark = pytest.mark.asyncio(loop_scope="session")

MakeCaller = Callable[[int], Caller]
NOWHERE: dict[str, Any] = {"backend": "remote", "address": "http://127.0.0.1:1/v1", "model": "tiny"}
"""A gateway without a model, for what is about its process."""
WORDS = "some words of a question that the tiny model reads without understanding any of them at all"


@asynccontextmanager
async def lane(gateway: Gateway, i: int, caller: MakeCaller, **terms: Any) -> AsyncIterator[Caller]:
    await gateway.open_lane(i, f"episode-{i}", **terms)
    connection = caller(i)
    try:
        yield connection
    finally:
        connection.close()
        try:
            await gateway.close_lane(i)
        except GatewayError as error:
            assert error.status == 409


async def busy(gateway: Gateway) -> None:
    for _ in range(2000):
        if (await gateway.health())["running"]:
            return
        await asyncio.sleep(0.002)
    pytest.fail("nothing runs")


def gone(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def leave_stale_socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as stale:
        path = folder / "gateway" / "lane-7.sock"
        path.parent.mkdir(mode=0o755)
        stale.bind(os.path.relpath(path))
    return path


async def off(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return await asyncio.to_thread(function, *arguments, **named)


def greedy(reference: Reference, prompt: list[int], count: int, adapter: str | None = None) -> list[int]:
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(reference.logits(ids, adapter)[-1].argmax()))
    return ids[len(prompt) :]


async def test_chat_is_exact_in_tokens_and_logprobs_and_is_recorded(
    gateway: Gateway, reference: Reference, caller: MakeCaller
) -> None:
    async with lane(gateway, 0, caller) as c:
        answer = await off(c.chat, "hello there", max_tokens=12, temperature=0.7, seed=3, ignore_eos=True)
        calls = await gateway.close_lane(0)
    (choice,) = answer["choices"]
    prompt = reference.prompt("hello there")
    ids = choice["token_ids"]
    logprobs = [entry["logprob"] for entry in choice["logprobs"]["content"]]
    assert answer["prompt_token_ids"] == prompt
    assert len(ids) == 12 and choice["finish_reason"] == "length"
    assert logprobs == pytest.approx(reference.logprobs(prompt, ids), abs=1e-4)
    assert choice["message"]["content"] == reference.tokenizer.decode(ids, skip_special_tokens=True)
    assert answer["usage"] == {
        "prompt_tokens": len(prompt),
        "completion_tokens": 12,
        "total_tokens": len(prompt) + 12,
    }
    (call,) = calls
    assert call.messages == ({"role": "user", "content": "hello there"},)
    assert call.prompt_ids == tuple(prompt) and call.completion_ids == tuple(ids)
    assert list(call.logprobs) == logprobs and call.text == choice["message"]["content"]
    assert (call.adapter, call.temperature, call.top_p, call.max_tokens) == (None, 0.7, 1.0, 12)
    assert call.finish_reason == "length" and call.seconds > 0


async def test_completions_take_text_or_ids_and_n(gateway: Gateway, caller: MakeCaller, reference: Reference) -> None:
    ids = reference.tokenizer(WORDS)["input_ids"]
    body = {"max_tokens": 6, "n": 4, "seed": 11, "logprobs": 1, "return_token_ids": True, "ignore_eos": True}
    async with lane(gateway, 0, caller) as c:
        status, by_text = await off(c.ask, "POST", "/v1/completions", body | {"prompt": WORDS})
        _, by_ids = await off(c.ask, "POST", "/v1/completions", body | {"prompt": ids})
        calls = await gateway.close_lane(0)
    assert status == 200
    assert [x["token_ids"] for x in by_text["choices"]] == [x["token_ids"] for x in by_ids["choices"]]
    assert len({tuple(x["token_ids"]) for x in by_text["choices"]}) == 4
    assert [x["index"] for x in by_text["choices"]] == [0, 1, 2, 3]
    for choice in by_text["choices"]:
        assert choice["prompt_token_ids"] == ids
        expected = reference.logprobs(ids, choice["token_ids"])
        assert choice["logprobs"]["token_logprobs"] == pytest.approx(expected, abs=1e-4)
    assert len(calls) == 8


async def test_lengths_in_one_batch_equal_one_by_one(
    gateway: Gateway, reference: Reference, caller: MakeCaller
) -> None:
    contents = [WORDS[: 5 + 12 * i] for i in range(6)]
    for i in range(6):
        await gateway.open_lane(i, f"e{i}")
    before = await gateway.health()
    callers = [caller(i) for i in range(6)]
    terms = {"max_tokens": 10, "temperature": 0, "ignore_eos": True}
    asked = [off(c.chat, x, **terms) for c, x in zip(callers, contents, strict=True)]
    answers = await asyncio.gather(*asked)
    after = await gateway.health()
    for i in range(6):
        await gateway.close_lane(i)
    assert after["rows"] - before["rows"] == 6 >= after["batches"] - before["batches"]
    for content, answer in zip(contents, answers, strict=True):
        assert answer["choices"][0]["token_ids"] == greedy(reference, reference.prompt(content), 10)


async def test_adapters_mixed_in_a_batch_equal_each_alone(
    gateway: Gateway, reference: Reference, caller: MakeCaller
) -> None:
    for name, path in reference.adapters.items():
        assert await gateway.load_adapter(name, path) == await gateway.load_adapter(name, path)
    wearing = ["red", "blue", None, "red"]
    for i, adapter in enumerate(wearing):
        await gateway.open_lane(i, f"e{i}", adapter=adapter)
    asked = [off(caller(i).chat, WORDS, max_tokens=8, temperature=0, ignore_eos=True) for i in range(4)]
    answers = await asyncio.gather(*asked)
    with pytest.raises(GatewayError, match="409"):
        await gateway.unload_adapter("red")
    with pytest.raises(GatewayError, match="other content"):
        await gateway.load_adapter("red", reference.adapters["blue"])
    recorded = [(await gateway.close_lane(i))[0] for i in range(4)]
    prompt = reference.prompt(WORDS)
    for adapter, answer, call in zip(wearing, answers, recorded, strict=True):
        ids = answer["choices"][0]["token_ids"]
        assert ids == greedy(reference, prompt, 8, adapter)
        assert list(call.logprobs) == pytest.approx(reference.logprobs(prompt, ids, adapter), abs=1e-4)
        assert call.adapter == adapter and answer["model"] == (adapter or "tiny")
    for name in reference.adapters:
        await gateway.unload_adapter(name)
    assert (await gateway.health())["adapters"] == {}
    async with lane(gateway, 0, caller) as c:
        bare = await off(c.chat, WORDS, max_tokens=8, temperature=0, ignore_eos=True)
    assert bare["choices"][0]["token_ids"] == answers[2]["choices"][0]["token_ids"]


async def test_a_wrong_adapter_is_refused_and_leaves_no_trace(gateway: Gateway, tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match=r"400.*adapter_config\.json is missing"):
        await gateway.load_adapter("none", tmp_path)
    with pytest.raises(GatewayError, match="404"):
        await gateway.open_lane(0, "e", adapter="none")
    with pytest.raises(GatewayError, match="404"):
        await gateway.unload_adapter("none")


async def test_seeds_decide_and_top_k_narrows(gateway: Gateway, caller: MakeCaller) -> None:
    async with lane(gateway, 0, caller) as c:
        one, again, other = [(await off(c.chat, WORDS, max_tokens=8, seed=s))["choices"][0] for s in (1, 1, 2)]
        narrow = await off(c.chat, WORDS, max_tokens=8, top_k=1, seed=1)
        sharp = await off(c.chat, WORDS, max_tokens=8, temperature=0)
    assert one["token_ids"] == again["token_ids"] != other["token_ids"]
    assert narrow["choices"][0]["token_ids"] == sharp["choices"][0]["token_ids"] != one["token_ids"]


async def test_a_training_lane_samples_the_whole_distribution_whatever_is_asked(
    gateway: Gateway, caller: MakeCaller
) -> None:
    """Temperature, top_p, top_k and the seed are the lane's, or every sample of a case would be the same one."""
    drawn = []
    for seed in (1, 2, 1):
        async with lane(gateway, 0, caller, train=True, seed=seed) as c:
            asked = await off(c.chat, WORDS, max_tokens=8, temperature=0, top_p=0.01, top_k=1, seed=7)
            (call,) = await gateway.close_lane(0)
            assert (call.temperature, call.top_p) == (1.0, 1.0)
            drawn.append(asked["choices"][0]["token_ids"])
    assert drawn[0] == drawn[2] != drawn[1]


async def test_stop_strings_and_the_end_token(gateway: Gateway, reference: Reference, caller: MakeCaller) -> None:
    async with lane(gateway, 0, caller) as c:
        whole = (await off(c.chat, WORDS, max_tokens=20, temperature=0, ignore_eos=True))["choices"][0]
        text = whole["message"]["content"]
        stop = text[4:6]
        cut = (await off(c.chat, WORDS, max_tokens=20, temperature=0, ignore_eos=True, stop=stop))["choices"][0]
        loose = await off(c.chat, WORDS, max_tokens=150, temperature=3.0, seed=1, n=16)
    assert cut["message"]["content"] == text[: text.index(stop)] and cut["finish_reason"] == "stop"
    assert cut["token_ids"] == whole["token_ids"][: len(cut["token_ids"])]
    ended = [choice for choice in loose["choices"] if choice["finish_reason"] == "stop"]
    assert ended
    for choice in ended:
        assert choice["token_ids"].index(reference.tokenizer.eos_token_id) == len(choice["token_ids"]) - 1
        assert "<|end|>" not in choice["message"]["content"]


async def test_a_lane_serves_only_while_open(gateway: Gateway, caller: MakeCaller) -> None:
    c = caller(1)
    chat = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 2}
    status, answer = await off(c.ask, "POST", "/v1/chat/completions", chat)
    assert status == 409 and "no episode is open on lane 1" in answer["error"]["message"]
    assert (await off(c.ask, "GET", "/v1/models"))[0] == 409
    await gateway.open_lane(1, "first")
    with pytest.raises(GatewayError, match=r"409.*first"):
        await gateway.open_lane(1, "second")
    assert (await off(c.ask, "GET", "/v1/models"))[1]["data"][0]["id"] == "tiny"
    assert (await off(c.ask, "POST", "/v1/chat/completions", chat))[0] == 200
    assert len(await gateway.close_lane(1)) == 1
    with pytest.raises(GatewayError, match="409"):
        await gateway.close_lane(1)
    await gateway.open_lane(1, "second")
    assert await gateway.close_lane(1) == ()
    with pytest.raises(GatewayError, match="404"):
        await gateway.open_lane(99, "e")


async def test_limits_of_an_episode(gateway: Gateway, reference: Reference, caller: MakeCaller) -> None:
    used = len(reference.prompt("x"))
    async with lane(gateway, 0, caller, max_calls=2, max_total_tokens=2 * used + 9) as c:
        chat = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 6, "ignore_eos": True}
        first = await off(c.ask, "POST", "/v1/chat/completions", chat)
        second = await off(c.ask, "POST", "/v1/chat/completions", chat)
        third, refusal = await off(c.ask, "POST", "/v1/chat/completions", chat)
    assert [first[1]["usage"]["completion_tokens"], second[1]["usage"]["completion_tokens"]] == [6, 3]
    assert third == 429 and "max_calls" in refusal["error"]["message"]
    async with lane(gateway, 0, caller, max_total_tokens=used) as c:
        status, refusal = await off(c.ask, "POST", "/v1/chat/completions", chat)
    assert status == 429 and "max_total_tokens" in refusal["error"]["message"]


BAD = [
    (b"{", "JSON"),
    (b"[]", "object"),
    ({"messages": []}, "messages: "),
    ({"messages": "hi"}, "messages: "),
    ({"messages": [{"role": "god", "content": "x"}]}, "messages.0.role"),
    ({"messages": [{"role": "user", "content": "x"}], "temperature": "hot"}, "temperature: "),
    (b'{"messages": [{"role": "user", "content": "x"}], "temperature": NaN}', "temperature: "),
    ({"messages": [{"role": "user", "content": "x"}], "max_tokens": 0}, "max_tokens: "),
    ({"messages": [{"role": "user", "content": "x"}], "n": 1000}, "n: "),
    ({"messages": [{"role": "user", "content": "x"}], "stream": True}, "stream: "),
    ({"messages": [{"role": "user", "content": "x"}], "frequency_penalty": 1}, "frequency_penalty: "),
    ({"messages": [{"role": "user", "content": "word " * 300}]}, "context is 256 tokens"),
]


async def test_bad_requests_get_one_line(gateway: Gateway, caller: MakeCaller) -> None:
    async with lane(gateway, 0, caller) as c:
        for body, expected in BAD:
            status, answer = await off(c.ask, "POST", "/v1/chat/completions", body)
            message = answer["error"]["message"]
            assert status == 400 and expected in message and "\n" not in message, (body, answer)
        for prompt in ([10**9], [2**70], [-1], ["a"], "", []):
            status, answer = await off(c.ask, "POST", "/v1/completions", {"prompt": prompt})
            assert status == 400, (prompt, answer)
        status, answer = await off(c.ask, "GET", "/v1/nothing")
        assert status == 404 and "message" in answer["error"]
        clamped = await off(c.chat, "x", max_tokens=10**6, temperature=0, ignore_eos=True)
        assert clamped["usage"]["total_tokens"] == 256
    async with lane(gateway, 0, caller) as c:
        status, _ = await off(c.ask, "POST", "/v1/completions", {"prompt": "x" * 70_000})
        assert status == 413


async def test_a_caller_who_hangs_up_does_not_wedge_the_rest(gateway: Gateway, caller: MakeCaller) -> None:
    long = {"messages": [{"role": "user", "content": WORDS}], "max_tokens": 200, "n": 8, "ignore_eos": True}
    async with lane(gateway, 0, caller), lane(gateway, 1, caller) as c:
        reader, writer = await asyncio.open_unix_connection(sock=gateway.connect(0))
        body = str(long).replace("'", '"').replace("True", "true").encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: lane\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        await writer.drain()
        await busy(gateway)
        writer.close()
        answer = await off(c.chat, "x", max_tokens=3)
        assert answer["choices"][0]["token_ids"]
        assert await gateway.close_lane(0) == ()
        # The last answer of a batch is handed over a moment before the batch is over.
        async with asyncio.timeout(10):
            while (health := await gateway.health())["queue_depth"] or health["running"]:
                pass
    del reader


@pytest.mark.parametrize("wait_s", [0.0, 30.0])
async def test_closing_cancels_or_waits_for_what_is_in_flight(
    gateway: Gateway, caller: MakeCaller, wait_s: float
) -> None:
    await gateway.open_lane(0, "e")
    chat = {"messages": [{"role": "user", "content": WORDS}], "max_tokens": 200, "n": 4, "ignore_eos": True}
    asked = asyncio.create_task(off(caller(0).ask, "POST", "/v1/chat/completions", chat))
    await busy(gateway)
    calls = await gateway.close_lane(0, wait_s=wait_s)
    status, _ = await asked
    assert (status, len(calls)) == ((200, 4) if wait_s else (409, 0))


async def test_sockets_are_private(gateway: Gateway) -> None:
    folder = gateway._folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    sockets = list(folder.glob("*.sock"))
    assert len(sockets) == gateway.lanes + 1
    assert {stat.S_IMODE(path.stat().st_mode) for path in sockets} == {0o600}


async def test_death_is_noticed(tmp_path: Path) -> None:
    gateway = await Gateway.start(tmp_path, tmp_path, lanes=1, **NOWHERE)
    await gateway.open_lane(0, "e")
    watched = asyncio.create_task(gateway.wait_died())
    os.kill(gateway.pid, signal.SIGKILL)
    with pytest.raises(GatewayDied, match=r"ended with status -9(.|\n)*serving tiny on 1 lanes"):
        await gateway.close_lane(0)
    assert isinstance(await watched, GatewayDied)
    with pytest.raises(GatewayDied):
        gateway.connect(0)
    await gateway.stop()


async def test_a_gateway_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(GatewayDied, match=r"ended with status 1(.|\n)*no model in .*nowhere"):
        await Gateway.start(tmp_path / "nowhere", tmp_path, lanes=1)


async def test_stale_sockets_do_not_hinder_and_it_ends_with_its_parent(tmp_path: Path) -> None:
    stale = leave_stale_socket(tmp_path)
    script = (
        "import asyncio, pathlib, sys, os\n"
        "from sia_tui.policy.client import Gateway\n"
        "async def main():\n"
        "    folder = pathlib.Path(sys.argv[1])\n"
        f"    g = await Gateway.start(folder, folder, lanes=1, **{NOWHERE!r})\n"
        "    print(g.pid, flush=True)\n"
        "    os._exit(9)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = await off(subprocess.run, command, capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    assert not stale.exists() and (stale.parent / "lane-0.sock").exists()
    for _ in range(200):
        if gone(pid):
            return
        await asyncio.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the gateway outlived its parent")


async def test_the_client_costs_no_torch() -> None:
    heavy = "{'torch', 'transformers', 'peft', 'aiohttp'}"
    script = f"import sys, sia_tui.policy.client; sys.exit(bool({heavy} & set(sys.modules)))"
    assert (await off(subprocess.run, [sys.executable, "-c", script], check=False)).returncode == 0
