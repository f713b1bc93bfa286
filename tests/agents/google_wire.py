"""POST /v1beta/models/{model}:generateContent and :streamGenerateContent?alt=sse of Google's Gemini API.

Source: https://ai.google.dev/api/generate-content. Nothing is known here of caches, safety and modalities.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.agents.turns import Answer, Asked, Call, Json, Message, Refused, Tool, ToolResult, pieces, require

CALL_ID = "google_"
KNOWN = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent"}
STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def key(headers: Mapping[str, str]) -> str | None:
    return headers.get("x-goog-api-key") or None


def parse(body: Json, headers: Mapping[str, str], matched: Mapping[str, str]) -> Asked:
    method = matched["method"]
    require(method in ("generateContent", "streamGenerateContent"), f"Unknown method {method}.", status=404)
    for name in body:
        require(name in KNOWN, f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
    require(body.get("contents"), "* GenerateContentRequest.contents: contents is not specified")
    declared = [given for tool in body.get("tools", []) for given in tool.get("functionDeclarations", [])]
    tools = {given["name"]: Tool(given["name"], given.get("description", ""), _schema(given)) for given in declared}
    system = "\n\n".join(part.get("text", "") for part in body.get("systemInstruction", {}).get("parts", []))
    stream = method == "streamGenerateContent"
    return Asked(matched["model"], system, _messages(body["contents"]), tools, stream, body)


def _schema(declared: Json) -> Json:
    """Field names come in either case, as protobuf reads them."""
    named = ("parametersJsonSchema", "parameters_json_schema", "parameters")
    return next((declared[name] for name in named if declared.get(name)), {})


def _messages(contents: list[Json]) -> tuple[Message, ...]:
    read: list[Message] = []
    for said in contents:
        role, parts = said.get("role", "user"), said.get("parts")
        require(role in ("user", "model"), "Please use a valid role: user, model.")
        require(parts, "* GenerateContentRequest.contents.parts: contents.parts must not be empty.")
        assert parts
        before = read[-1].calls if read else ()
        given = [part["functionResponse"] for part in parts if "functionResponse" in part]
        require(
            len(given) == len(before),
            "Please ensure that the number of function response parts is equal to the number of function call parts of "
            "the function call turn.",
        )
        results = tuple(
            ToolResult(result["name"], _returned(result["response"]), result.get("id", "")) for result in given
        )
        called = [part["functionCall"] for part in parts if "functionCall" in part]
        calls = tuple(Call(call["name"], call.get("args", {}), id=call.get("id", "")) for call in called)
        text = "".join(part.get("text", "") for part in parts)
        read.append(Message("assistant" if role == "model" else "user", text, calls, results))
    require(read[-1].role == "user", "Please ensure that multiturn requests end with a user role.")
    return tuple(read)


def _returned(response: Json) -> str:
    """A result is an object on this wire; what is no object is wrapped in one."""
    values = list(response.values())
    alone = len(values) == 1 and isinstance(values[0], str)
    return values[0] if alone else json.dumps(response, ensure_ascii=False)


def whole(said: Answer, asked: Asked) -> Json:
    return _response(asked, said, [{"text": said.text}] * bool(said.text) + _calls(said), ended=True)


def events(said: Answer, asked: Asked) -> list[str]:
    spoken: list[list[Json]] = [[{"text": piece}] for piece in pieces(said.text)] + [[part] for part in _calls(said)]
    spoken = spoken or [[]]
    last = len(spoken) - 1
    made = [_response(asked, said, parts, ended=at == last) for at, parts in enumerate(spoken)]
    return [f"data: {json.dumps(response)}\r\n\r\n" for response in made]


def _calls(said: Answer) -> list[Json]:
    if _malformed(said):
        return []
    return [{"functionCall": {"id": call.id, "name": call.tool, "args": call.args}} for call in said.calls]


def _malformed(said: Answer) -> bool:
    """Arguments that are no object never leave this API: the call is held back and the finish reason says so."""
    return any(isinstance(call.args, str) for call in said.calls)


def _response(asked: Asked, said: Answer, parts: list[Json], *, ended: bool) -> Json:
    candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
    if ended:
        stop = "MALFORMED_FUNCTION_CALL" if _malformed(said) else "STOP"
        candidate["finishReason"] = "MAX_TOKENS" if said.cut_short else stop
    used = said.usage
    counts = {
        "promptTokenCount": used.input,
        "candidatesTokenCount": used.output,
        "totalTokenCount": used.input + used.output,
        "cachedContentTokenCount": used.cache_read,
    }
    return {"candidates": [candidate], "usageMetadata": counts, "modelVersion": asked.model, "responseId": "scripted"}


def error(refused: Refused) -> Json:
    status = STATUS.get(refused.status, "INTERNAL")
    return {"error": {"code": refused.status, "message": refused.message, "status": status}}


def error_event(refused: Refused) -> str:
    return f"data: {json.dumps(error(refused))}\r\n\r\n"
