"""Our gateway over a real vLLM on CPUs: exact token ids, logprobs of PEFT, adapters changed while it serves."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from sia_tui.engine.proof import NotAsTrained, probe_gap
from sia_tui.policy.client import Gateway, GatewayDied, GatewayError
from sia_tui.weights.protocol import Probe
from tests.policy.conftest import Caller, Reference
from tests.vllm.conftest import SERVING

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORDS = "some words of a question that the tiny model reads without understanding any of them at all"
MESSAGES = [{"role": "user", "content": WORDS}]


def greedy(reference: Reference, adapter: str | None, count: int = 12) -> Probe:
    """By whole forward passes of transformers and PEFT, in this process."""
    prompt = reference.prompt(WORDS)
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(reference.logits(ids, adapter)[-1].argmax()))
        if ids[-1] == reference.tokenizer.eos_token_id:
            break
    sampled = ids[len(prompt) :]
    return Probe(
        messages=tuple(MESSAGES),
        prompt_ids=tuple(prompt),
        completion_ids=tuple(sampled),
        logprobs=tuple(reference.logprobs(prompt, sampled, adapter)),
    )


async def test_each_request_is_answered_by_its_lanes_adapter_as_peft_would(
    gateway: Gateway, reference: Reference
) -> None:
    for name, path in reference.adapters.items():
        began = time.monotonic()
        assert await gateway.load_adapter(name, path) == await gateway.load_adapter(name, path)
        print(f"{name}: loaded in {1000 * (time.monotonic() - began):.0f} ms")
    for adapter in (None, *reference.adapters):
        gap = await probe_gap(gateway, adapter, [greedy(reference, adapter)])
        print(f"{adapter}: largest difference to PEFT {gap:.2e} nats")
        assert gap < 5e-4
    with pytest.raises(NotAsTrained):
        await probe_gap(gateway, "red", [greedy(reference, "blue")])
    with pytest.raises(GatewayError, match="other content"):
        await gateway.load_adapter("red", reference.adapters["blue"])


async def test_lanes_side_by_side_sample_what_they_record(gateway: Gateway, reference: Reference) -> None:
    """With every place for an adapter taken, the last one too, which vLLM on CPUs takes for that of the base."""
    for name in ("third", "last"):
        await gateway.load_adapter(name, reference.adapters["red"])
    wearing = [None, "red", "blue", "red", None, "blue"]
    for i, adapter in enumerate(wearing):
        await gateway.open_lane(i, f"e{i}", adapter=adapter, train=True, seed=i)
    asked = [asyncio.to_thread(Caller(gateway, i).chat, WORDS, max_tokens=24, n=4) for i in range(6)]
    answers = await asyncio.gather(*asked)
    for i, (adapter, answer) in enumerate(zip(wearing, answers, strict=True)):
        calls = await gateway.close_lane(i)
        assert answer["model"] == (adapter or "tiny")
        assert len({call.completion_ids for call in calls}) == 4
        for call, choice in zip(calls, answer["choices"], strict=True):
            assert list(call.prompt_ids) == reference.prompt(WORDS) and list(call.completion_ids) == choice["token_ids"]
            expected = reference.logprobs(list(call.prompt_ids), list(call.completion_ids), adapter)
            assert list(call.logprobs) == pytest.approx(expected, abs=1e-3)
            ended = call.completion_ids[-1] == reference.tokenizer.eos_token_id
            assert call.finish_reason == ("stop" if ended else "length") and "<|end|>" not in call.text
    for name in ("third", "last"):
        await gateway.unload_adapter(name)


async def test_a_seed_repeats_and_a_stop_string_ends(gateway: Gateway, reference: Reference) -> None:
    await gateway.open_lane(0, "e")
    caller = Caller(gateway, 0)
    terms = {"max_tokens": 16, "ignore_eos": True}
    one, again, other = [
        (await asyncio.to_thread(caller.chat, WORDS, seed=seed, **terms))["choices"][0] for seed in (1, 1, 2)
    ]
    assert one["token_ids"] == again["token_ids"] != other["token_ids"]
    stop = one["message"]["content"][4:7]
    cut = (await asyncio.to_thread(caller.chat, WORDS, seed=1, stop=stop, **terms))["choices"][0]
    text = one["message"]["content"]
    assert cut["message"]["content"] == text[: text.index(stop)] and cut["finish_reason"] == "stop"
    assert cut["token_ids"] == one["token_ids"][: len(cut["token_ids"])]
    await gateway.close_lane(0)


async def test_long_seeded_prompts_side_by_side_are_more_than_a_step_reads(gateway: Gateway) -> None:
    for i in range(8):
        await gateway.open_lane(i, f"e{i}", seed=i)
    asked = [asyncio.to_thread(Caller(gateway, i).chat, f"{i} {WORDS} {WORDS}", max_tokens=4) for i in range(8)]
    answers = await asyncio.gather(*asked)
    assert min(answer["usage"]["prompt_tokens"] for answer in answers) > 300 / 8
    for i in range(8):
        assert len(await gateway.close_lane(i)) == 1


async def test_a_version_is_loaded_under_a_running_request_and_the_old_one_goes(
    gateway: Gateway, reference: Reference, tmp_path: Path
) -> None:
    """The same directory and the same name hold another version later: no cache may mix the two."""
    version = tmp_path / "v"
    version.symlink_to(reference.adapters["red"])
    await gateway.load_adapter("step", version)
    assert await probe_gap(gateway, "step", [greedy(reference, "red")]) < 5e-4
    await gateway.open_lane(1, "long")
    asked = asyncio.create_task(
        asyncio.to_thread(Caller(gateway, 1).chat, "x", max_tokens=200, n=4, ignore_eos=True, temperature=0)
    )
    await asyncio.sleep(0.2)
    await gateway.unload_adapter("step")
    version.unlink()
    version.symlink_to(reference.adapters["blue"])
    await gateway.load_adapter("step", version)
    assert await probe_gap(gateway, "step", [greedy(reference, "blue")]) < 5e-4
    answer = await asked
    prompt, ids = answer["prompt_token_ids"], answer["choices"][0]["token_ids"]
    logprobs = [entry["logprob"] for entry in answer["choices"][0]["logprobs"]["content"]]
    assert len(ids) == 200 and logprobs == pytest.approx(reference.logprobs(prompt, ids), abs=1e-3)
    await gateway.close_lane(1)
    await gateway.unload_adapter("step")
    with pytest.raises(GatewayError, match="404"):
        await gateway.open_lane(0, "e", adapter="step")


async def test_what_vllm_cannot_serve_is_refused_in_one_line(
    gateway: Gateway, reference: Reference, tmp_path: Path
) -> None:
    from tests.policy.tiny import make_adapter

    with pytest.raises(GatewayError, match=r"400.*adapter_config\.json is missing"):
        await gateway.load_adapter("none", tmp_path)
    large = make_adapter(reference.folder, tmp_path / "large", seed=3, rank=64)
    with pytest.raises(GatewayError, match="400") as caught:
        await gateway.load_adapter("large", large)
    print(caught.value)
    assert "\n" not in str(caught.value) and "large" not in (await gateway.health())["adapters"]
    assert await probe_gap(gateway, None, [greedy(reference, None)]) < 5e-4


async def test_after_sleep_the_adapters_say_what_they_said(gateway: Gateway, reference: Reference) -> None:
    await gateway.load_adapter("red", reference.adapters["red"])
    await gateway.sleep()
    with pytest.raises(GatewayError, match=r"409.*sleeps"):
        await gateway.open_lane(0, "e")
    await gateway.wake()
    assert await probe_gap(gateway, "red", [greedy(reference, "red")]) < 5e-4


async def test_its_cache_is_told_as_it_names_it(gateway: Gateway) -> None:
    await gateway.open_lane(0, "e")
    for _ in range(2):
        await asyncio.to_thread(Caller(gateway, 0).chat, WORDS, max_tokens=4)
    await gateway.close_lane(0)
    async with asyncio.timeout(20):
        while not (health := await gateway.health()).get("prefix_queries"):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.1)
    print({name: health[name] for name in ("kv_cache", "prefix_queries", "prefix_hits", "queue_depth")})
    assert 0 <= health["kv_cache"] <= 1 and health["queue_depth"] == 0
    assert health["prefix_queries"] >= health["prefix_hits"] >= 0


async def test_zz_its_death_is_the_gateways_with_the_reason_and_nothing_is_left(
    gateway: Gateway, reference: Reference
) -> None:
    (server,) = children(gateway.pid)
    workers = descendants(server)
    (engine,) = (pid for pid in workers if "EngineCor" in Path(f"/proc/{pid}/comm").read_text())
    watched = asyncio.create_task(gateway.wait_died())
    os.kill(engine, signal.SIGKILL)
    async with asyncio.timeout(60):
        death = await watched
    assert isinstance(death, GatewayDied) and "vllm" in str(death)
    print(death)
    await gone(server, *workers)


async def test_zzz_a_killed_gateway_leaves_no_server(reference: Reference, tmp_path: Path) -> None:
    gateway = await Gateway.start(reference.folder, tmp_path, lanes=1, ready_s=280.0, **SERVING)
    (server,) = children(gateway.pid)
    workers = descendants(server)
    os.kill(gateway.pid, signal.SIGKILL)
    await gone(server, *workers)
    await gateway.stop()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descendants(pid: int) -> list[int]:
    found = children(pid)
    return [*found, *(far for child in found for far in descendants(child))]


async def gone(*pids: int) -> None:
    async with asyncio.timeout(30):
        for pid in pids:
            while running(pid):  # noqa: ASYNC110 - a process of somebody else's tells nobody when it ends
                await asyncio.sleep(0.1)


def running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
