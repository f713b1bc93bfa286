"""The gateway at an address: any HTTP client's requests, taken on the sandbox's own loopback and passed on over a lane."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sia_tui.harness.inside import sia
else:
    import sia

HEAD_BYTES = 64 * 1024
BODY_BYTES = 256 * 1024
"""The gateway takes no more, and would close the lane over it."""


class Refused(Exception):
    """A request that goes no further."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Relay:
    """An HTTP server for one episode; async context manager. What is asked at once is answered one after another."""

    def __init__(self, lane: sia.Lane) -> None:
        self._lane = lane
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> str:
        """Its base URL, as OpenAI's clients take it."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=HEAD_BYTES)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def __aexit__(self, *reason: object) -> None:
        """Whoever is still connected belongs to an episode that is over."""
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its reply; False when the connection ends with it."""
        head = await reader.readuntil(b"\r\n\r\n")
        stays = False
        try:
            method, path, headers = _parsed(head)
            body = await _body(reader, writer, headers)
            stays = headers.get("connection", "").lower() != "close"
            status, answer = await self._lane.ask(method, path, body)
        except sia.LLMError as error:
            status, answer = 502, _error(502, str(error))
        except (Refused, ValueError) as error:
            status = error.status if isinstance(error, Refused) else 400
            answer = _error(status, str(error))
        keep = "keep-alive" if stays else "close"
        said = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n"
        writer.write(f"{said}Connection: {keep}\r\n\r\n".encode("ascii") + answer)
        await writer.drain()
        return stays


def _parsed(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[0] not in ("GET", "POST"):
        raise Refused(405, f"{words[0][:20]} is not answered here: GET or POST below /v1")
    path = words[1].partition("?")[0]
    if not path.startswith("/v1/") or not path.isascii() or not path.isprintable():
        raise Refused(404, f"there is no {path[:100]} here: ask below /v1")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return words[0], path, headers


async def _body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: dict[str, str]) -> bytes:
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _chunked(reader)
    length = int(headers.get("content-length") or 0)
    _bounded(length)
    return await reader.readexactly(length)


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        _bounded(len(body) + size)
        body += (await reader.readexactly(size + 2))[:-2]
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return body


def _bounded(size: int) -> None:
    if not 0 <= size <= BODY_BYTES:
        raise Refused(413, f"a request has at most {BODY_BYTES} bytes")


def _error(status: int, message: str) -> bytes:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    told = {"error": {"message": message, "type": kind, "param": None, "code": status}}
    return json.dumps(told).encode("ascii")
