"""POST /v1/chat/completions of OpenAI's API: what it refuses, and how it answers.

Source: https://platform.openai.com/docs/api-reference/chat; the texts of refusals are the API's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from tests.agents.turns import Answer, Asked, Call, Json, Message, Refused, Tool, ToolResult, bearer, pieces, require

CALL_ID = "call_"
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
KNOWN = {*CompletionCreateParamsBase.__annotations__, "stream"}
FINISH = {"end": "stop", "calls": "tool_calls", "length": "length"}
TYPES = {400: "invalid_request_error", 401: "invalid_request_error", 404: "invalid_request_error", 429: "requests"}


def key(headers: Mapping[str, str]) -> str | None:
    return bearer(headers)


def parse(body: Json, headers: Mapping[str, str], matched: Mapping[str, str]) -> Asked:
    require(body.get("model"), "you must provide a model parameter")
    require(body.get("messages"), "Missing required parameter: 'messages'.", code="missing_required_parameter")
    for name in body:
        require(name in KNOWN, f"Unrecognized request argument supplied: {name}")
    tools = {tool.name: tool for tool in map(_tool, body.get("tools", []))}
    require("tools" not in body or tools, "[] is too short - 'tools'")
    for name in ("tool_choice", "parallel_tool_calls"):
        require(tools or name not in body, f"'{name}' is only allowed when 'tools' are specified.")
    stream = bool(body.get("stream"))
    require(
        stream or "stream_options" not in body,
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
    )
    require(0 <= body.get("temperature", 1) <= 2, "Invalid 'temperature': expected a value between 0 and 2.")
    for name in ("max_tokens", "max_completion_tokens"):
        require(
            body.get(name, 1) >= 1, f"Invalid '{name}': integer below minimum value.", code="integer_below_min_value"
        )
    schema = (body.get("response_format") or {}).get("json_schema")
    if schema and schema.get("strict"):
        _strict(schema["schema"], f"response_format '{schema['name']}'")
    system = [_text(said) for said in body["messages"] if said.get("role") in ("system", "developer")]
    return Asked(body["model"], "\n\n".join(system), _messages(body["messages"]), tools, stream, body)


def _tool(given: Json) -> Tool:
    require(given.get("type") == "function", "Missing required parameter: 'tools[0].type'.")
    function = given["function"]
    name, schema = function.get("name", ""), function.get("parameters", {"type": "object", "properties": {}})
    require(NAME.fullmatch(name), f"Invalid 'tools[0].function.name': '{name}' does not match '^[a-zA-Z0-9_-]+$'.")
    where = f"function '{name}'"
    require(
        schema.get("type") == "object",
        f"Invalid schema for {where}: schema must be a JSON Schema of 'type: \"object\"'",
    )
    if function.get("strict"):
        _strict(schema, where)
    return Tool(name, function.get("description", ""), schema)


def _strict(schema: Any, where: str) -> None:
    """Strict schemas name every property as required and allow no others."""
    if isinstance(schema, list):
        for part in schema:
            _strict(part, where)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        closed = schema.get("additionalProperties") is False
        require(
            closed, f"Invalid schema for {where}: 'additionalProperties' is required to be supplied and to be false."
        )
        every = set(schema.get("required", ())) == set(schema.get("properties", ()))
        require(every, f"Invalid schema for {where}: 'required' is required to include every key in properties.")
    for part in schema.values():
        _strict(part, where)


def _messages(given: list[Json]) -> tuple[Message, ...]:
    read: list[Message] = []
    open_calls: dict[str, Call] = {}
    for at, said in enumerate(given):
        role = said.get("role")
        if role == "tool":
            call = open_calls.pop(said.get("tool_call_id", ""), None)
            require(call, "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.")
            assert call is not None
            read.append(Message("user", results=(ToolResult(call.tool, _text(said), call.id),)))
            continue
        unanswered = ", ".join(open_calls)
        require(
            not open_calls,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {unanswered}",
        )
        if role == "assistant":
            open_calls = _calls(said.get("tool_calls", []), at)
            spoken = said.get("content") is not None or open_calls
            require(spoken, f"Invalid value for 'messages[{at}].content': expected a string, got null.")
            read.append(Message("assistant", _text(said), tuple(open_calls.values())))
        elif role in ("system", "developer", "user"):
            require(
                said.get("content") is not None,
                f"Invalid value for 'messages[{at}].content': expected a string, got null.",
            )
            if role == "user":
                read.append(Message("user", _text(said)))
        else:
            raise Refused(f"Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'tool'.")
    require(not open_calls, f"The following tool_call_ids did not have response messages: {', '.join(open_calls)}")
    return tuple(read)


def _calls(given: list[Json], at: int) -> dict[str, Call]:
    calls = {}
    for called in given:
        function = called.get("function", {})
        whole = called.get("id") and called.get("type") == "function" and function.get("name")
        require(whole, f"Missing required parameter: 'messages[{at}].tool_calls'.", code="missing_required_parameter")
        arguments = function.get("arguments")
        require(isinstance(arguments, str), f"Invalid type for 'messages[{at}].tool_calls[0].function.arguments'.")
        calls[called["id"]] = Call(function["name"], _loaded(arguments), id=called["id"])
    return calls


def _loaded(arguments: str) -> Json | str:
    try:
        loaded = json.loads(arguments)
    except ValueError:
        return arguments
    return loaded if isinstance(loaded, dict) else arguments


def _text(said: Json) -> str:
    content = said.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def whole(said: Answer, asked: Asked) -> Json:
    message: Json = {
        "role": "assistant",
        "content": said.text if said.text or not said.calls else None,
        "refusal": None,
    }
    if said.calls:
        message["tool_calls"] = [_called(call) for call in said.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH[said.stop]}
    return _frame(asked, "chat.completion", choices=[choice], usage=_usage(said))


def events(said: Answer, asked: Asked) -> list[str]:
    deltas: list[Json] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"content": piece} for piece in pieces(said.text)]
    for index, call in enumerate(said.calls):
        called = _called(call)
        arguments = called["function"].pop("arguments")
        deltas.append({"tool_calls": [{"index": index, **called, "function": {**called["function"], "arguments": ""}}]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces(arguments)]
    ends: list[str | None] = [None] * len(deltas) + [FINISH[said.stop]]
    spoken = zip([*deltas, {}], ends, strict=True)
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": end} for delta, end in spoken]
    counted = (asked.raw.get("stream_options") or {}).get("include_usage")
    silent = {"usage": None} if counted else {}
    chunks = [_frame(asked, "chat.completion.chunk", choices=[choice], **silent) for choice in choices]
    if counted:
        chunks.append(_frame(asked, "chat.completion.chunk", choices=[], usage=_usage(said)))
    return [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]


def _called(call: Call) -> Json:
    arguments = call.args if isinstance(call.args, str) else json.dumps(call.args)
    return {"id": call.id, "type": "function", "function": {"name": call.tool, "arguments": arguments}}


def _frame(asked: Asked, kind: str, **rest: Any) -> Json:
    return {"id": "chatcmpl-scripted", "object": kind, "created": 1767225600, "model": asked.model, **rest}


def _usage(said: Answer) -> Json:
    used = said.usage
    return {
        "prompt_tokens": used.input,
        "completion_tokens": used.output,
        "total_tokens": used.input + used.output,
        "prompt_tokens_details": {"cached_tokens": used.cache_read, "cache_write_tokens": used.cache_write},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def error(refused: Refused) -> Json:
    kind = TYPES.get(refused.status, "server_error")
    code = refused.code or {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(
        refused.status
    )
    return {"error": {"message": refused.message, "type": kind, "param": refused.param, "code": code}}


def error_event(refused: Refused) -> str:
    return f"data: {json.dumps(error(refused))}\n\n"
