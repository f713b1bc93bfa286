"""The scripted provider through pydantic-ai's own clients: what arrives, what a fault raises.

| fault | raises (`pydantic_ai.exceptions`; all but the last two are `ModelAPIError`s) |
|---|---|
| 429 | `ModelRateLimitError`, `.retry_after` |
| 500, and inside a stream | `ModelServerError`; `.in_stream` |
| 503 · 529 | `ModelUnavailableError` · its `ModelOverloadedError` |
| 401, 403 · 404 · 400, 422 | `ModelAuthenticationError` · `ModelNotFoundError` · their base `ModelRequestRejectedError` |
| a stall, before or amid the answer | `ModelTimeoutError` after `timeout`; `ModelRequestTimeout` after `request_timeout` |
| a connection cut, before or amid the answer | `ModelConnectionError` (base of `ModelTimeoutError`) |
| not JSON | plain `ModelAPIError` |
| output over the limit, empty as well | `OutputTokenLimitExceeded`, an `UnexpectedModelBehavior` |
| empty content, arguments that are not JSON, an unknown tool | the model is told; past `retries`, `UnexpectedModelBehavior` |

What came with an HTTP status is a `ModelHTTPError` too. A stream that ends early without a word raises nothing: what came
counts as all, and only `provider_details` of the response, which then has no `finish_reason`, tells.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, UsageLimits
from pydantic_ai import exceptions as ex
from pydantic_ai.models import Model, create_async_httpx2_client
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from tests.agents.provider import Provider
from tests.agents.turns import Asked, Call, Calls, Fault, Say, Turn, Usage

WIRES = pytest.mark.parametrize("wire", ["openai", "anthropic", "google"])
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
ONCE = ModelSettings(max_retries=0, timeout=0.1, max_tokens=1000)


class Verdict(BaseModel):
    charge: str
    sure: bool


def dialogue(asked: Asked) -> Turn:
    """Looks a word up, then answers with what it found."""
    assert asked.tools["look_up"].schema["required"] == ["word"]
    if not asked.results:
        return Calls(
            [Call("look_up", {"word": "盗窃"})], "Let me see.", Usage(1000, 30, cache_read=600, cache_write=100)
        )
    return Call("final_result", {"charge": asked.results[-1].text, "sure": True}, Usage(1200, 40, cache_read=1000))


def model(wire: str, provider: Provider) -> Model:
    client = create_async_httpx2_client(transport=httpx2.AsyncHTTPTransport(verify=False))
    match wire:
        case "openai":
            by = OpenAIProvider(provider.openai_address, provider.key, http_client=client)
            return OpenAIChatModel("gpt-5-mini", provider=by)
        case "anthropic":
            return AnthropicModel(
                "claude-sonnet-4-5",
                provider=AnthropicProvider(base_url=provider.address, api_key=provider.key, http_client=client),
            )
    google = GoogleProvider(base_url=provider.address, api_key=provider.key, http_client=client)
    return GoogleModel("gemini-2.5-flash", provider=google)


def agent(wire: str, provider: Provider) -> Agent[None, Verdict]:
    made = Agent(model(wire, provider), output_type=Verdict, instructions="You judge.", model_settings=ONCE)

    @made.tool_plain
    def look_up(word: str) -> str:
        """Looks a word up."""
        return f"«{word}»"

    return made


async def judged(by: Agent[None, Verdict], streamed: bool, **settings: Any) -> Any:
    """The result, by a stream or whole."""
    if not streamed:
        return await by.run("What is it?", **settings)
    async with by.run_stream("What is it?", **settings) as result:
        await result.get_output()
        return result


@WIRES
@STREAMED
async def test_a_tool_a_typed_output_and_the_usage_arrive(wire: str, streamed: bool) -> None:
    async with Provider(dialogue) as provider:
        result = await judged(agent(wire, provider), streamed)
    assert (await result.get_output() if streamed else result.output) == Verdict(charge="«盗窃»", sure=True)
    used = result.usage
    assert (used.requests, used.tool_calls) == (2, 1)
    assert (used.input_tokens, used.output_tokens, used.cache_read_tokens) == (2200, 70, 1600)
    assert used.cache_write_tokens == (0 if wire == "google" else 100)
    assert {(recorded.key, recorded.status) for recorded in provider.requests} == {(provider.key, 200)}
    first, second = provider.asked
    assert (first.prompt, first.system, first.turn, first.stream) == ("What is it?", "You judge.", 0, streamed)
    assert (second.turn, second.calls[0].args, second.messages[1].text) == (1, {"word": "盗窃"}, "Let me see.")
    assert {"You judge.", "What is it?", "Looks a word up.", "盗窃", "«盗窃»"} <= set(provider.strings())
    assert not any(provider.key in text for recorded in provider.requests for text in recorded.headers.values())


FAULTS: list[tuple[Fault, type[Exception], dict[str, Any]]] = [
    (Fault("status", 429, retry_after=7), ex.ModelRateLimitError, {"status_code": 429, "retry_after": 7.0}),
    (Fault("status", 500), ex.ModelServerError, {"status_code": 500, "in_stream": False}),
    (Fault("status", 503), ex.ModelUnavailableError, {"status_code": 503}),
    (Fault("status", 400), ex.ModelRequestRejectedError, {"status_code": 400}),
    (Fault("status", 404), ex.ModelNotFoundError, {"status_code": 404}),
    (Fault("key_echoed"), ex.ModelAuthenticationError, {"status_code": 401}),
    (Fault("stall"), ex.ModelTimeoutError, {"phase": "read"}),
    (Fault("stall_midway"), ex.ModelTimeoutError, {"phase": "read"}),
    (Fault("cut"), ex.ModelConnectionError, {"phase": "read"}),
    (Fault("cut_midway"), ex.ModelConnectionError, {"phase": "read"}),
    (Fault("malformed"), ex.ModelAPIError, {"body": None}),
    (Fault("error_midway"), ex.ModelServerError, {"status_code": 500}),
]


@WIRES
@STREAMED
async def test_each_fault_raises_what_the_table_says_and_passes(wire: str, streamed: bool) -> None:
    async with Provider(dialogue) as provider:
        by = agent(wire, provider)
        for fault, raised, holds in FAULTS:
            provider.faults.append(fault)
            with pytest.raises(raised) as caught:
                await judged(by, streamed)
            error = caught.value
            assert {name: getattr(error, name) for name in holds} == holds, fault
            assert isinstance(error, ex.ModelHTTPError) == ("status_code" in holds), fault
            assert (provider.key in str(error)) == (fault.kind == "key_echoed"), fault
            if fault.kind == "error_midway":
                assert error.in_stream == streamed  # type: ignore[attr-defined]
        assert len(provider.requests) == len(FAULTS)
        await judged(by, streamed)


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
async def test_a_stream_that_ends_early_counts_as_whole(wire: str) -> None:
    fault = Fault("ends_early", begun=Say("first half, second half"))
    async with (
        Provider(faults=[fault]) as provider,
        Agent(model(wire, provider)).run_stream("Say it.", model_settings=ONCE) as result,
    ):
        said = await result.get_output()
    assert said and "first half, second half".startswith(said) and said != "first half, second half"
    assert "finish_reason" not in (result.response.provider_details or {})


async def test_a_deadline_over_everything_ends_a_request() -> None:
    async with Provider(faults=[Fault("stall")]) as provider:
        with pytest.raises(ex.ModelRequestTimeout, match=r"after 0\.05 seconds"):
            await agent("openai", provider).run("What is it?", model_settings={"timeout": 5, "request_timeout": 0.05})


@WIRES
async def test_output_over_the_limit_says_so(wire: str) -> None:
    async with Provider([Say("and so on and", cut_short=True), Say("", cut_short=True)]) as provider:
        for _ in range(2):
            with pytest.raises(ex.OutputTokenLimitExceeded, match="token limit"):
                await agent(wire, provider).run("What is it?")


@WIRES
async def test_empty_content_is_asked_again_once(wire: str) -> None:
    async with Provider([Say(""), Say("")]) as provider:
        with pytest.raises(ex.UnexpectedModelBehavior, match="maximum output retries"):
            await agent(wire, provider).run("What is it?")
    assert len(provider.requests) == 2


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
@STREAMED
@pytest.mark.parametrize("wrong", [Call("look_up", '{"word": "盗'), Call("look_it_up", {})], ids=["json", "tool"])
async def test_a_wrong_call_is_told_to_the_model_and_made_again(wire: str, streamed: bool, wrong: Call) -> None:
    def script(asked: Asked) -> Turn:
        if asked.turn == 0:
            return wrong
        return dialogue(asked) if asked.turn == 2 else Call("look_up", {"word": "盗窃"})

    async with Provider(script) as provider:
        result = await judged(agent(wire, provider), streamed)
    assert result.usage.tool_calls == 1
    told = provider.asked[1].results[0]
    assert "json_invalid" in told.text if wrong.tool == "look_up" else "Unknown tool name" in told.text
    assert told.failed == (wire == "anthropic")


async def test_a_limit_on_cost_ends_the_run_after_the_answer_that_broke_it() -> None:
    async with Provider(dialogue) as provider:
        with pytest.raises(ex.UsageLimitExceeded, match="cost_limit"):
            await agent("anthropic", provider).run(
                "What is it?", usage_limits=UsageLimits(cost_limit=Decimal("0.0001"))
            )
        assert len(provider.requests) == 1
        within = await agent("anthropic", provider).run(
            "What is it?", usage_limits=UsageLimits(cost_limit=Decimal("0.01"))
        )
    # Sonnet: $3 in, $15 out, $0.30 read from and $3.75 written to the cache, per million
    assert within.usage.cost == Decimal("0.003405")


async def test_caching_marks_the_tools_the_system_prompt_and_the_conversation() -> None:
    async with Provider(dialogue) as provider:
        await agent("anthropic", provider).run("What is it?", model_settings={"cache": "1h"})
        await agent("anthropic", provider).run("What is it?")
    marked, plain = provider.asked[0].raw, provider.asked[2].raw
    mark = {"type": "ephemeral", "ttl": "1h"}
    assert [marked["cache_control"], marked["system"][-1]["cache_control"], marked["tools"][-1]["cache_control"]] == [
        mark
    ] * 3
    assert "cache_control" not in str(plain)
