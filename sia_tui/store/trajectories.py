"""A trajectory as bytes and back: the attempt and its score, whole, as JSON."""

from __future__ import annotations

import dataclasses
import json
import zlib
from typing import Any

from sia_tui.core.episodes import Attempt, Call, Case, HarnessError, Score, ToolCall


def pack(attempt: Attempt, score: Score) -> bytes:
    body = {"attempt": dataclasses.asdict(attempt), "score": dataclasses.asdict(score)}
    return json.dumps(body, ensure_ascii=False, default=dict).encode("utf-8", "surrogatepass")


def plain(body: bytes) -> bytes:
    """What `pack` made of a stored body: compressed in a run's store, as it is in a recording's."""
    return body if body.startswith(b"{") else zlib.decompress(body)


def unpack(body: bytes) -> tuple[Attempt, Score]:
    """The inverse of `pack`, compressed or not."""
    data: dict[str, Any] = json.loads(plain(body).decode("utf-8", "surrogatepass"))
    fields = data["attempt"]
    attempt = Attempt(
        case=Case(**fields["case"]),
        answer=fields["answer"],
        source=fields["source"],
        calls=tuple(_call(call) for call in fields["calls"]),
        tool_calls=tuple(ToolCall(**call) for call in fields["tool_calls"]),
        error=HarnessError(**fields["error"]) if fields["error"] else None,
        seconds=fields["seconds"],
        isolation=fields["isolation"],
        notes=fields["notes"],
    )
    return attempt, Score(**data["score"])


def _call(fields: dict[str, Any]) -> Call:
    sequences = {name: tuple(fields[name]) for name in ("messages", "prompt_ids", "completion_ids", "logprobs")}
    return Call(**{**fields, **sequences})
