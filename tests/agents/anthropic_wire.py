"""POST /v1/messages of Anthropic's API: what it refuses, and how it answers.

Source: https://docs.anthropic.com/en/api/messages, .../errors, .../streaming; the texts of refusals are the API's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from anthropic.types.beta.message_create_params import MessageCreateParamsBase

from tests.agents.turns import Answer, Asked, Call, Json, Message, Refused, Tool, ToolResult, bearer, pieces, require

CALL_ID = "toolu_"
NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
KNOWN = {*MessageCreateParamsBase.__annotations__, "stream", "temperature", "top_p", "top_k"} - {"betas"}
STOP = {"end": "end_turn", "calls": "tool_use", "length": "max_tokens"}
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}
CACHE_BREAKPOINTS = 4


def key(headers: Mapping[str, str]) -> str | None:
    """Either header will do, as for the API; the SDK sends the second since 2.x."""
    return headers.get("x-api-key") or bearer(headers)


def parse(body: Json, headers: Mapping[str, str], matched: Mapping[str, str]) -> Asked:
    require("anthropic-version" in headers, "anthropic-version: header is required")
    for name in ("model", "max_tokens", "messages"):
        require(name in body, f"{name}: Field required")
    for name in body:
        require(name in KNOWN, f"{name}: Extra inputs are not permitted")
    require(body["messages"], "messages: at least one message is required")
    require(body["max_tokens"] >= 1, "max_tokens: Input should be greater than or equal to 1")
    require(0 <= body.get("temperature", 1) <= 1, "temperature: range: 0..1")
    tools = [_tool(at, given) for at, given in enumerate(body.get("tools", []))]
    named = {tool.name: tool for tool in tools}
    require(len(named) == len(tools), "tools: Tool names must be unique.")
    require(tools or "tool_choice" not in body, "tool_choice: may only be specified while providing tools")
    marked = _breakpoints(body)
    require(marked <= CACHE_BREAKPOINTS, f"A maximum of 4 blocks with cache_control may be provided. Found {marked}.")
    system = _text(_blocks(body.get("system", ""), "system"))
    return Asked(body["model"], system, _messages(body["messages"]), named, bool(body.get("stream")), body)


def _tool(at: int, given: Json) -> Tool:
    name, schema = given.get("name", ""), given.get("input_schema")
    require(NAME.fullmatch(name), f"tools.{at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    require(schema is not None, f"tools.{at}.custom.input_schema: Field required")
    assert schema is not None
    require(schema.get("type") == "object", f"tools.{at}.custom.input_schema.type: Input should be 'object'")
    return Tool(name, given.get("description", ""), schema)


def _breakpoints(within: Any) -> int:
    if isinstance(within, list):
        return sum(map(_breakpoints, within))
    if not isinstance(within, dict):
        return 0
    return bool(within.get("cache_control")) + sum(_breakpoints(part) for part in within.values())


def _blocks(content: Any, where: str) -> list[Json]:
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
    for block in blocks:
        require("type" in block, f"{where}: Field required")
        require(block["type"] != "text" or block.get("text"), f"{where}: text content blocks must be non-empty")
    return blocks


def _text(blocks: list[Json]) -> str:
    return "".join(block["text"] for block in blocks if block["type"] == "text")


def _messages(given: list[Json]) -> tuple[Message, ...]:
    read: list[Message] = []
    open_calls: dict[str, Call] = {}
    for at, said in enumerate(given):
        role, where = said.get("role", ""), f"messages.{at}"
        require(role in ("user", "assistant"), f"{where}.role: Input should be 'user' or 'assistant'")
        require(at or role == "user", 'messages: first message must use the "user" role')
        blocks = _blocks(said.get("content"), where)
        last = at == len(given) - 1 and role == "assistant"
        require(
            blocks or last,
            f"{where}: all messages must have non-empty content except for the optional final assistant message",
        )
        results = _results(blocks, where, open_calls)
        open_calls = {block["id"]: _call(block, where) for block in blocks if block["type"] == "tool_use"}
        require(
            role == "assistant" or not open_calls, f"{where}: `tool_use` blocks can only be in `assistant` messages"
        )
        read.append(Message(role, _text(blocks), tuple(open_calls.values()), results))
    _results([], f"messages.{len(given) - 1}", open_calls)
    return tuple(read)


def _call(block: Json, where: str) -> Call:
    require(
        isinstance(block.get("input"), dict), f"{where}.content.0.tool_use.input: Input should be a valid dictionary"
    )
    require(
        NAME.fullmatch(block["id"]), f"{where}.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
    )
    return Call(block["name"], block["input"], id=block["id"])


def _results(blocks: list[Json], where: str, open_calls: Mapping[str, Call]) -> tuple[ToolResult, ...]:
    """The results at the head of a message: those of all calls of the message before it, and of no other."""
    given = [block for block in blocks if block["type"] == "tool_result"]
    for block in given:
        asked_for, name = block.get("tool_use_id") in open_calls, block.get("tool_use_id")
        require(
            asked_for,
            f"{where}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {name}. Each `tool_result` "
            "block must have a corresponding `tool_use` block in the previous message.",
        )
    unanswered = set(open_calls) - {block["tool_use_id"] for block in blocks[: len(given)] if block in given}
    require(
        not unanswered,
        f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(sorted(unanswered))}. Each `tool_use` block must have a corresponding `tool_result` block in the "
        "next message.",
    )
    return tuple(
        ToolResult(
            open_calls[block["tool_use_id"]].tool,
            _text(_blocks(block.get("content"), where)),
            block["tool_use_id"],
            bool(block.get("is_error")),
        )
        for block in given
    )


def whole(said: Answer, asked: Asked) -> Json:
    """A call's malformed arguments, which the API itself only ever streams, stand as a string."""
    blocks: list[Json] = [{"type": "text", "text": said.text}] if said.text else []
    blocks += [{"type": "tool_use", "id": call.id, "name": call.tool, "input": call.args} for call in said.calls]
    return {**_message(asked, said), "content": blocks, "stop_reason": STOP[said.stop]}


def events(said: Answer, asked: Asked) -> list[str]:
    begun = _message(asked, said)
    begun["usage"] = {**begun["usage"], "output_tokens": 1}
    made = [_event("message_start", message=begun), _event("ping")]
    blocks: list[tuple[Json, list[Json]]] = []
    if said.text:
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces(said.text)]
        blocks.append(({"type": "text", "text": ""}, deltas))
    for call in said.calls:
        arguments = call.args if isinstance(call.args, str) else json.dumps(call.args)
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *pieces(arguments))]
        blocks.append(({"type": "tool_use", "id": call.id, "name": call.tool, "input": {}}, deltas))
    for index, (block, deltas) in enumerate(blocks):
        made.append(_event("content_block_start", index=index, content_block=block))
        made += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
        made.append(_event("content_block_stop", index=index))
    ended = {"stop_reason": STOP[said.stop], "stop_sequence": None}
    made.append(_event("message_delta", delta=ended, usage={"output_tokens": said.usage.output}))
    return [*made, _event("message_stop")]


def _message(asked: Asked, said: Answer) -> Json:
    used = said.usage
    return {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": used.input - used.cache_read - used.cache_write,
            "cache_creation_input_tokens": used.cache_write,
            "cache_read_input_tokens": used.cache_read,
            "output_tokens": used.output,
        },
    }


def _event(kind: str, **rest: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **rest})}\n\n"


def error(refused: Refused) -> Json:
    kind = refused.code or TYPES.get(refused.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": refused.message}, "request_id": "req_scripted"}


def error_event(refused: Refused) -> str:
    return f"event: error\ndata: {json.dumps(error(refused))}\n\n"
