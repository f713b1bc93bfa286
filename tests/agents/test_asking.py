"""A role's model over a real wire: tried again where the provider fails, held to its limits, its key kept out of everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from sia_tui.agents.llm import calls as asked_again
from sia_tui.agents.llm.answers import Invalid
from sia_tui.agents.llm.asking import NoAnswer, ask
from sia_tui.agents.llm.calls import Call as Kept
from sia_tui.agents.llm.greeting import Heard, greet
from sia_tui.agents.llm.roles import Role
from tests.agents.provider import KEY, Provider
from tests.agents.turns import Asked, Call, Fault, Say, Turn, Usage

WIRES = ("openai:m", "anthropic:m", "google:m")


class Sum(BaseModel):
    model_config = ConfigDict(extra="forbid")
    value: int


class Remembering(Heard):
    """Replies are found again, as in a run's store."""

    def reply(self, id: str) -> bytes | None:
        return next((call.response for call in self.calls if call.event.id == id), None)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIA_TEST_KEY", KEY)


def role(provider: Provider, model: str = "openai:m", **fields: Any) -> Role:
    endpoint = f"http://127.0.0.1:{provider.port}" + ("/v1" if model.startswith("openai") else "")
    said = {
        "endpoint": endpoint,
        "key_env": "SIA_TEST_KEY",
        "price": (1.0, 5.0),
        "stall_s": 1.0,
        "wait_s": 0.01,
        "tries": 3,
        "rounds": 2,
    }
    return Role(model=model, **(said | fields))


async def sums(provider: Provider, calls: Heard | None = None, **fields: Any) -> int:
    def accept(said: Sum) -> int:
        if said.value != 4:
            raise Invalid(f"{said.value} is not 2 + 2")
        return said.value

    found: int = await ask("feedback", role(provider, **fields), calls or Heard(), ("greeting",), "2 + 2?", Sum, accept)
    return found


def four(asked: Asked) -> Turn:
    return Call("answer", {"value": 4}, Usage(input=1000, output=50, cache_read=400))


@pytest.mark.parametrize("model", WIRES)
async def test_a_role_is_played_over_every_wire(model: str) -> None:
    def script(asked: Asked) -> Turn:
        return Call("word", {}) if asked.turn == 0 else Call("answer", {"word": "harbour"}, Usage(1000, 50, 400))

    async with Provider(script) as provider:
        heard, _ = await greet("feedback", role(provider, model))
    first, second = (call.event for call in heard.calls)
    assert (first.tokens_in, second.tokens_in, second.cached) == (100, 1000, 400)
    assert second.cost == pytest.approx(0.00125)
    assert all(request.key == KEY for request in provider.requests)
    assert heard.calls[1].sent[-1]["text"] == "harbour", "what was new since the last reply"
    assert KEY not in repr(heard)


FAULTS = {
    "429": Fault("status", 429, retry_after=0),
    "500": Fault("status", 500),
    "529": Fault("status", 529),
    "cut": Fault("cut"),
    "cut midway": Fault("cut_midway"),
    "ends early": Fault("ends_early"),
    "an error in the stream": Fault("error_midway"),
    "not JSON": Fault("malformed"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("model", ("openai:m", "anthropic:m"))
async def test_what_is_the_providers_fault_is_asked_again(model: str, fault: Fault) -> None:
    heard = Heard()
    async with Provider(four, faults=[fault]) as provider:
        assert await sums(provider, heard, model=model) == 4
    assert len(provider.requests) == 2 and [call.event.tries for call in heard.calls] == [2]
    assert len(heard.notes) == 1 and "asking again" in heard.notes[0]


@pytest.mark.parametrize("kind", ("stall", "stall_midway"))
async def test_silence_ends_a_try(kind: Any) -> None:
    async with Provider(four, faults=[Fault(kind, seconds=1.5)]) as provider:
        assert await sums(provider, stall_s=0.3) == 4


@pytest.mark.parametrize("model", WIRES)
async def test_it_waits_as_long_as_it_is_told_up_to_a_cap(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def wait(seconds: float, beat: Callable[[], None]) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asked_again, "_waited", wait)
    told = [Fault("status", 429, retry_after=2), Fault("status", 503, retry_after=3600)]
    async with Provider(four, faults=[*told, Fault("status"), Fault("cut")]) as provider:
        assert await sums(provider, model=model, tries=5, wait_s=20) == 4
    assert waited == [2.0, 20.0, 4.0, 8.0], "where nothing is said, twice as long each time"


async def test_a_provider_that_never_recovers_is_given_up() -> None:
    async with Provider(four, faults=[Fault("status", 503)] * 3) as provider:
        with pytest.raises(NoAnswer, match=r"openai:m at 127\.0\.0\.1: .*503.*asked 3"):
            await sums(provider)
    assert len(provider.requests) == 3


async def test_a_wrong_key_is_said_without_it_and_not_tried_again() -> None:
    heard = Heard()
    async with Provider(four, faults=[Fault("key_echoed")]) as provider:
        with pytest.raises(NoAnswer) as refused:
            await sums(provider, heard)
    assert "401" in str(refused.value) and KEY not in str(refused.value) + repr(heard)
    assert len(provider.requests) == 1


async def test_what_is_wrong_with_an_answer_goes_back_to_the_model() -> None:
    def script(asked: Asked) -> Turn:
        told = [result.text for message in asked.messages for result in message.results]
        return Call("answer", {"value": 4} if any("5 is not 2 + 2" in text for text in told) else {"value": 5})

    async with Provider(script) as provider:
        assert await sums(provider) == 4


BAD: dict[str, Callable[[], Turn]] = {
    "wrong": lambda: Call("answer", {"value": 5}),
    "another type": lambda: Call("answer", {"value": "four"}),
    "not JSON": lambda: Call("answer", '{"value": '),
    "an unknown tool": lambda: Call("reply", {"value": 4}),
    "no call": lambda: Say("it is four"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_a_model_that_keeps_answering_badly_is_given_up(bad: Callable[[], Turn]) -> None:
    async with Provider(lambda asked: bad()) as provider:
        with pytest.raises(NoAnswer, match="openai:m"):
            await sums(provider)
    assert len(provider.requests) <= 4


async def test_limits_hold() -> None:
    def for_ever(asked: Asked) -> Turn:
        return Call("answer", {"value": 5}, Usage(input=1000, output=100))

    for limit, value in (("requests", 2), ("tokens", 2000), ("money", 0.003)):
        async with Provider(for_ever) as provider:
            with pytest.raises(NoAnswer, match=r"openai:m.*limit"):
                await sums(provider, rounds=20, **{limit: value})
        assert len(provider.requests) <= 3, limit


async def test_money_is_not_promised_where_the_price_is_unknown() -> None:
    async with Provider(four) as provider:
        with pytest.raises(NoAnswer, match="price is not known"):
            await sums(provider, money=1.0, price=None)
    assert not provider.requests


async def test_no_key_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIA_TEST_KEY")
    async with Provider(four) as provider:
        with pytest.raises(NoAnswer, match=r"no key in \$SIA_TEST_KEY"):
            await sums(provider)
    assert not provider.requests


async def test_a_task_cut_off_goes_on_from_the_replies_it_had() -> None:
    calls = Remembering()

    def script(asked: Asked) -> Turn:
        return Call("answer", {"value": 4 if asked.turn else 5}, id=f"call-{asked.turn}")

    async with Provider(script, faults=[]) as provider:
        first = role(provider)
        assert await sums(provider, calls) == 4
        made = len(provider.requests)
        assert await sums(provider, calls) == 4
        assert len(provider.requests) == made == 2, "the same questions have the same answers"
        assert first.model == "openai:m" and all(isinstance(call, Kept) for call in calls.calls)
