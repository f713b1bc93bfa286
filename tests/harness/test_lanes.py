"""The SDK's way to the gateway: real HTTP over real lanes, from inside the sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.harness.conftest import MakeWorld
from tests.harness.world import case, echoing, gateway

pytestmark = pytest.mark.asyncio

ASKS = """
import asyncio
from sia import Answer, LLMError
async def solve(case, llm, tools):
    say = [{"role": "user", "content": case.inputs["say"]}]
    how = case.inputs.get("how", "chat")
    if how == "chat":
        reply = await llm.chat(say)
        return Answer(reply.text, notes={"reason": reply.finish_reason, "tokens": reply.tokens})
    if how == "sample":
        replies = await llm.sample(say, 3, max_tokens=9, temperature=0.7, seed=5)
        return Answer("|".join(r.text for r in replies), notes={"tokens": [r.tokens for r in replies]})
    if how == "together":
        replies = await asyncio.gather(*(llm.chat(say) for _ in range(4)))
        return Answer(str(len(replies)))
    if how == "impatient":
        try: await asyncio.wait_for(llm.chat(say), 0.05)
        except asyncio.TimeoutError: pass
        return Answer((await llm.chat([{"role": "user", "content": "second"}])).text)
    if how == "leaves a task":
        async def later():
            await asyncio.sleep(0.1)
            try: await llm.chat(say)
            except LLMError as error: print(error, flush=True)
        globals()["kept"] = asyncio.create_task(later())
        return Answer("left")
    try: await llm.chat(say)
    except LLMError as error: return Answer(str(error))
"""


async def test_chat_and_sample(world: MakeWorld) -> None:
    async with gateway() as fake, world(ASKS).worker(fake.lanes(1)) as worker:
        chat = await worker.solve(0, case(say="法律 \u2028 ok"), 5)
        assert (chat.answer, chat.notes) == ("法律 \u2028 ok/0", {"reason": "stop", "tokens": 3})
        sample = await worker.solve(0, case(say="a", how="sample"), 5)
        assert (sample.answer, sample.notes) == ("a/0|a/1|a/2", {"tokens": [3, 3, 3]})
        assert fake.connections == 1
        first, second = fake.requests
        assert (first["temperature"], first["max_tokens"], "seed" in first) == (0.0, 64, False)
        assert (second["n"], second["temperature"], second["max_tokens"], second["seed"]) == (3, 0.7, 9, 5)


async def slow(request: dict[str, Any]) -> tuple[int, Mapping[str, Any]]:
    await asyncio.sleep(0.2)
    return await echoing(request)


async def test_a_lane_asks_one_thing_at_a_time_and_lanes_run_side_by_side(world: MakeWorld) -> None:
    async with gateway(slow) as fake, world(ASKS).worker(fake.lanes(4)) as worker:
        assert (await worker.solve(0, case(say="a", how="together"), 5)).answer == "4"
        assert fake.most_at_once == 1
        outcomes = await asyncio.gather(*(worker.solve(i, case(say=str(i)), 5) for i in range(4)))
        assert [outcome.answer for outcome in outcomes] == ["0/0", "1/0", "2/0", "3/0"]
        assert fake.most_at_once == 4


async def test_solves_on_one_lane_wait_for_each_other(world: MakeWorld) -> None:
    async with gateway(slow) as fake, world(ASKS).worker(fake.lanes(1)) as worker:
        outcomes = await asyncio.gather(*(worker.solve(0, case(say=str(i)), 0.8) for i in range(5)))
        assert [outcome.answer for outcome in outcomes] == [f"{i}/0" for i in range(5)]
        assert fake.most_at_once == 1


async def test_replies_stay_in_step_after_a_cancelled_request(world: MakeWorld) -> None:
    async with gateway(slow) as fake, world(ASKS).worker(fake.lanes(1)) as worker:
        assert (await worker.solve(0, case(say="first", how="impatient"), 5)).answer == "second/0"
        late = await worker.solve(0, case(say="late"), 0.05)
        assert late.error is not None and late.error.kind == "timeout"
        assert (await worker.solve(0, case(say="next"), 5)).answer == "next/0"


async def test_a_task_left_behind_cannot_ask(world: MakeWorld) -> None:
    here = world(ASKS)
    async with gateway() as fake, here.worker(fake.lanes(1)) as worker:
        assert (await worker.solve(0, case(say="a", how="leaves a task"), 5)).answer == "left"
        await asyncio.sleep(0.3)
        assert fake.requests == []
    assert "the episode is over" in here.log.read_text()


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (409, {"error": {"message": "no episode is open"}}, "the gateway answered 409: no episode is open"),
        (500, {"unlike": 1}, "the gateway answered 500: no reason given"),
        (200, {"choices": []}, "the gateway's reply is malformed: 0 choices, 1 asked for"),
        (200, {"choices": [{}], "usage": {}}, "the gateway's reply is malformed: 'message'"),
    ],
)
async def test_errors_of_the_gateway(world: MakeWorld, status: int, content: Any, said: str) -> None:
    async def refuse(request: dict[str, Any]) -> tuple[int, Mapping[str, Any]]:
        return status, content

    async with gateway(refuse) as fake, world(ASKS).worker(fake.lanes(1)) as worker:
        assert (await worker.solve(0, case(say="a", how="catch"), 5)).answer == said


async def test_a_gateway_that_goes_away(world: MakeWorld) -> None:
    async def vanish(request: dict[str, Any]) -> tuple[int, Mapping[str, Any]]:
        raise ConnectionResetError

    async with gateway(vanish) as fake, world(ASKS).worker(fake.lanes(1)) as worker:
        for _ in range(2):
            outcome = await worker.solve(0, case(say="a", how="catch"), 5)
            assert str(outcome.answer).startswith("the gateway lane broke")


async def test_the_worker_takes_its_lanes_over(world: MakeWorld) -> None:
    async with gateway() as fake:
        lanes = fake.lanes(2)
        async with world(ASKS).worker(lanes):
            assert all(lane.fileno() == -1 for lane in lanes)
