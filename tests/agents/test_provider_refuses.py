"""What the scripted provider refuses, as the real APIs would, and how it is left; asked over bare HTTP."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.provider import KEY, Provider
from tests.agents.turns import Asked, Call, Fault, Say, Turn

Json = dict[str, Any]
USER: Json = {"role": "user", "content": "hello"}
O_CALL = {
    "role": "assistant",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "t", "arguments": "{}"}}],
}
O_RESULT = {"role": "tool", "tool_call_id": "c1", "content": "found"}
A_CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "t", "input": {}}]}
A_RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "found"}]}
G_CALL = {"role": "model", "parts": [{"functionCall": {"name": "t", "args": {}}}]}
G_USER = {"role": "user", "parts": [{"text": "hello"}]}
CACHED = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
OPEN = {"type": "object", "properties": {"x": {"type": "string"}}}


def o_tool(schema: Json, **more: Any) -> list[Json]:
    return [{"type": "function", "function": {"name": "t", "parameters": schema, **more}}]


OPENAI: list[tuple[Json, str]] = [
    ({"model": None}, "must provide a model"),
    ({"messages": []}, "'messages'"),
    ({"colour": "red"}, "Unrecognized request argument supplied: colour"),
    ({"messages": [USER, O_RESULT]}, "must be a response to a preceeding message"),
    ({"messages": [USER, O_CALL]}, "did not have response messages: c1"),
    ({"messages": [USER, O_CALL, USER]}, "did not have response messages: c1"),
    ({"messages": [USER, O_CALL, O_RESULT, O_RESULT]}, "must be a response to a preceeding message"),
    ({"messages": [{"role": "user", "content": None}]}, "expected a string, got null"),
    ({"messages": [{"role": "model", "content": "x"}]}, "Invalid value: 'model'"),
    ({"tool_choice": "required"}, "only allowed when 'tools' are specified"),
    ({"tools": []}, "too short"),
    ({"tools": o_tool({"type": "string"})}, "'type: \"object\"'"),
    ({"tools": o_tool(OPEN, strict=True)}, "'additionalProperties' is required"),
    ({"tools": o_tool({**OPEN, "additionalProperties": False}, strict=True)}, "every key in properties"),
    ({"stream_options": {"include_usage": True}}, "only allowed when 'stream'"),
    ({"temperature": 3}, "temperature"),
]
ANTHROPIC: list[tuple[Json, str]] = [
    *[({name: ...}, f"{name}: Field required") for name in ("model", "max_tokens", "messages")],
    ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ({"messages": []}, "at least one message"),
    ({"messages": [A_CALL, A_RESULT]}, "first message must use"),
    ({"messages": [USER, A_CALL, USER]}, "without `tool_result` blocks immediately after: c1"),
    ({"messages": [USER, A_CALL]}, "without `tool_result` blocks immediately after: c1"),
    ({"messages": [A_RESULT]}, "unexpected `tool_use_id` found in `tool_result` blocks: c1"),
    ({"messages": [{"role": "user", "content": ""}]}, "non-empty content"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "must be non-empty"),
    ({"messages": [{"role": "system", "content": "x"}]}, "'user' or 'assistant'"),
    ({"tools": [{"name": "t"}]}, "input_schema: Field required"),
    ({"tools": [{"name": "t", "input_schema": OPEN}] * 2}, "names must be unique"),
    ({"tool_choice": {"type": "any"}}, "while providing tools"),
    ({"temperature": 1.5}, "temperature"),
    ({"system": [CACHED] * 5}, "Found 5"),
]
GOOGLE: list[tuple[Json, str]] = [
    ({"contents": []}, "contents is not specified"),
    ({"colour": "red"}, 'Unknown name "colour"'),
    ({"contents": [G_USER, G_CALL, G_USER]}, "equal to the number of function call parts"),
    ({"contents": [G_USER, {"role": "assistant", "parts": [{"text": "x"}]}]}, "valid role"),
]
GOOD: dict[str, tuple[str, Json, Json]] = {
    "openai": ("/v1/chat/completions", {"model": "m", "messages": [USER]}, {"authorization": f"Bearer {KEY}"}),
    "anthropic": (
        "/v1/messages",
        {"model": "m", "max_tokens": 9, "messages": [USER]},
        {"x-api-key": KEY, "anthropic-version": "2023-06-01"},
    ),
    "google": ("/v1beta/models/m:generateContent", {"contents": [G_USER]}, {"x-goog-api-key": KEY}),
}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider(lambda asked: Say("good day")) as opened:
        yield opened


def ask(provider: Provider, path: str, body: Json | bytes | None, headers: Json) -> tuple[int, Json]:
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(provider.address + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize(("wire", "wrong"), [("openai", OPENAI), ("anthropic", ANTHROPIC), ("google", GOOGLE)])
def test_a_request_the_api_would_refuse_is_refused_in_its_words(provider: Provider, wire: str, wrong: Any) -> None:
    path, good, headers = GOOD[wire]
    assert ask(provider, path, good, headers)[0] == 200
    for change, words in wrong:
        body = {name: value for name, value in {**good, **change}.items() if value is not ...}
        status, said = ask(provider, path, body, headers)
        assert status == 400 and words in said["error"]["message"], change
        assert provider.requests[-1].asked is None and provider.requests[-1].error == said["error"]["message"]


@pytest.mark.parametrize("wire", GOOD)
def test_another_key_and_a_body_that_is_not_json_are_refused(provider: Provider, wire: str) -> None:
    path, good, headers = GOOD[wire]
    assert ask(provider, path, good, {"anthropic-version": "2023-06-01"})[0] == 401
    assert ask(provider, path, good, {name: value + "x" for name, value in headers.items()})[0] == 401
    assert ask(provider, path, b"{", headers)[0] == 400


def test_what_a_call_begun_is_answered_with_is_read(provider: Provider) -> None:
    path, good, headers = GOOD["anthropic"]
    assert ask(provider, path, {**good, "messages": [USER, A_CALL, A_RESULT]}, headers)[0] == 200
    path, good, headers = GOOD["openai"]
    assert ask(provider, path, {**good, "messages": [USER, O_CALL, O_RESULT]}, headers)[0] == 200
    for asked in provider.asked[-2:]:
        assert [(found.tool, found.text) for found in asked.results] == [("t", "found")]
        assert asked.calls == [Call("t", {}, id="c1")]


def test_anthropic_wants_its_version_named(provider: Provider) -> None:
    path, good, _ = GOOD["anthropic"]
    status, said = ask(provider, path, good, {"x-api-key": KEY})
    assert status == 400 and said["type"] == "error" and said["error"]["type"] == "invalid_request_error"


def test_only_models_it_knows() -> None:
    with Provider([Say("good day")], models=("big", "small")) as provider:
        path, good, headers = GOOD["openai"]
        assert ask(provider, path, good, headers) == (404, {"error": _unknown()})
        assert ask(provider, path, {**good, "model": "small"}, headers)[0] == 200
        status, listed = ask(provider, "/v1/models", None, headers)
        assert status == 200 and [found["id"] for found in listed["data"]] == ["big", "small"]


def _unknown() -> Json:
    message = "The model `m` does not exist or you do not have access to it."
    return {"message": message, "type": "invalid_request_error", "param": None, "code": "model_not_found"}


def test_strings_inside_of_json_strings_are_found(provider: Provider) -> None:
    path, good, headers = GOOD["openai"]
    called = {"id": "c1", "type": "function", "function": {"name": "t", "arguments": json.dumps({"word": "盗窃"})}}
    messages = [USER, {"role": "assistant", "tool_calls": [called]}, O_RESULT]
    assert ask(provider, path, {**good, "messages": messages}, headers)[0] == 200
    assert "盗窃" not in provider.requests[-1].body
    assert {"word", "盗窃", "found"} <= set(provider.strings())


def test_a_script_that_has_run_out_or_raises_fails_the_test() -> None:
    def wrong(asked: Asked) -> Turn:
        raise LookupError("no such word")

    path, good, headers = GOOD["openai"]
    with pytest.raises(AssertionError, match="no turn for request"), Provider() as provider:
        assert ask(provider, path, good, headers)[0] == 400
    with pytest.raises(LookupError, match="no such word"), Provider(wrong) as provider:
        assert "no such word" in ask(provider, path, good, headers)[1]["error"]["message"]


def test_leaving_waits_for_no_stall_and_ends_the_thread() -> None:
    before = threading.active_count()
    path, good, headers = GOOD["openai"]
    with Provider(faults=[Fault("stall")]) as provider:
        request = urllib.request.Request(provider.address + path, json.dumps(good).encode(), headers)
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(request, timeout=0.05)
    assert threading.active_count() == before
