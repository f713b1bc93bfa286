"""What harness code imports: the case, the answer, and the policy to ask.

Standard library only, because it runs in the sandbox beside whatever environment the harness pins. The policy is
reached over sockets that were connected before the sandbox closed ("lanes"), so nothing here ever opens one.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["LLM", "Answer", "AttemptError", "Case", "LLMError", "Reply"]

HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 32 * 1024 * 1024

Message = Mapping[str, str]


class LLMError(Exception):
    """The gateway refused, failed or went away; the message says which."""


class AttemptError(Exception):
    """Nobody compiles this: the task offers no compiler, or the episode's attempts are used up."""


@dataclass(frozen=True)
class Case:
    """One problem to solve."""

    id: str
    inputs: dict[str, str]
    compiler: Callable[[str], Awaitable[str]] | None = field(default=None, repr=False, compare=False)

    async def attempt(self, answer: str) -> str:
        """What the task's own compiler says of an answer, in its own lines; nothing where it compiles. Raises AttemptError."""
        if self.compiler is None:
            raise AttemptError("this task has no compiler to ask")
        return await self.compiler(answer)


@dataclass(frozen=True)
class Answer:
    """What the harness says. `source="tool"` means the value did not come from the policy."""

    value: str | None
    source: Literal["policy", "tool"] = "policy"
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """One completion. `tokens` counts what was sampled; an even share of the total where no choice tells its own."""

    text: str
    finish_reason: str
    tokens: int


class Lane:
    """A connected socket to the gateway, one request at a time.

    A request that was sent is always read to its end, even when the episode that asked is cancelled meanwhile:
    otherwise the next episode on this lane would read a stranger's reply.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._broken = ""

    async def exchange(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        return _decoded(*await self.ask("POST", "/v1/chat/completions", json.dumps(payload).encode("ascii")))

    async def ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the reply, whatever it says. Raises LLMError when the lane is broken."""
        await self._lock.acquire()
        task = asyncio.create_task(self._round_trip(_request(method, path, body)))
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def _finished(self, task: asyncio.Task[tuple[int, bytes]]) -> None:
        self._lock.release()
        if not task.cancelled():
            task.exception()

    async def _round_trip(self, request: bytes) -> tuple[int, bytes]:
        if self._broken:
            raise LLMError(self._broken)
        try:
            reader, writer = await self._connected()
            writer.write(request)
            await writer.drain()
            status, answer, kept = await _response(reader)
        except (OSError, ValueError, EOFError, asyncio.LimitOverrunError) as error:
            self._broken = f"the gateway lane broke: {error or type(error).__name__}"
            raise LLMError(self._broken) from None
        if not kept:
            self._broken = "the gateway closed the lane"
        return status, answer

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            lane = socket.socket(fileno=self._fd)
            lane.setblocking(False)
            self._streams = await asyncio.open_connection(sock=lane, limit=HEAD_LIMIT)
        return self._streams


class LLM:
    """The policy, for one episode. Which model and adapter answer is not the harness' choice."""

    def __init__(self, lane: Lane, is_open: Callable[[], bool] = lambda: True) -> None:
        self.lane = lane
        self._is_open = is_open

    async def chat(
        self,
        messages: Sequence[Message],
        max_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> Reply:
        """One completion; greedy unless told otherwise."""
        return (await self._ask(messages, 1, max_tokens, temperature, top_p, seed))[0]

    async def sample(
        self,
        messages: Sequence[Message],
        n: int,
        max_tokens: int = 64,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> list[Reply]:
        """`n` completions of the same messages in one request."""
        if n < 1:
            raise ValueError("n must be at least 1")
        return await self._ask(messages, n, max_tokens, temperature, top_p, seed)

    async def _ask(
        self, messages: Sequence[Message], n: int, max_tokens: int, temperature: float, top_p: float, seed: int | None
    ) -> list[Reply]:
        if not self._is_open():
            raise LLMError("the episode is over")
        payload: dict[str, Any] = {
            "model": "policy",
            "messages": [dict(message) for message in messages],
            "n": n,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "return_token_ids": n > 1,
        }
        if seed is not None:
            payload["seed"] = seed
        return _replies(await self.lane.exchange(payload), n)


def _request(method: str, path: str, body: bytes) -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\n"
        "Host: gateway\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection stays. Only Content-Length framing: the gateway is ours."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    parts = head[0].split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
        raise ValueError("not an HTTP reply")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    length = headers.get("content-length", "")
    if not length.isdigit() or int(length) > BODY_LIMIT:
        raise ValueError("a reply without a usable Content-Length")
    return int(parts[1]), await reader.readexactly(int(length)), headers.get("connection", "").lower() != "close"


def _decoded(status: int, body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if status != 200:
        raise LLMError(f"the gateway answered {status}: {_reason(content)}")
    if not isinstance(content, dict):
        raise LLMError("the gateway's reply is not a JSON object")
    return content


def _reason(content: object) -> str:
    error = content.get("error") if isinstance(content, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return message[:500] if isinstance(message, str) else "no reason given"


def _replies(content: dict[str, Any], n: int) -> list[Reply]:
    try:
        choices = content["choices"]
        total = int((content.get("usage") or {}).get("completion_tokens") or 0)
        if len(choices) != n:
            raise ValueError(f"{len(choices)} choices, {n} asked for")
        return [_reply(choice, -(-total // n)) for choice in choices]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LLMError(f"the gateway's reply is malformed: {error}") from None


def _reply(choice: dict[str, Any], share: int) -> Reply:
    ids = choice.get("token_ids")
    return Reply(
        text=choice["message"].get("content") or "",
        finish_reason=choice.get("finish_reason") or "stop",
        tokens=len(ids) if isinstance(ids, list) else share,
    )
