"""Byte streams between the engine and a node: each is opened by the node with a token that counts once.

What a stream carries, the control lines of a worker or the requests of one of its lanes, is not looked at on the way.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import socket
from collections.abc import Awaitable, Callable
from typing import Literal, Self

from sia_tui.harness.messages import LINE_BYTES

HELLO_S = 10.0
CONNECT_S = 10.0
CHUNK = 65536
TOKEN_BYTES = 32
_IDLE_S, _EVERY_S, _TRIES, _UNHEARD_MS = 5, 2, 3, 10_000
"""A connection whose other end is gone without a word breaks within some ten seconds."""

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Taker = Callable[[Pair], Awaitable[None]]
"""Has the connection for as long as it runs."""
End = Literal["near", "far", "broken"]
"""Which end was over first, or that the connection to the far one broke."""


class Relay:
    """The engine's end: takes the connections it expects."""

    def __init__(self) -> None:
        self._expected: dict[bytes, Taker] = {}
        self._taken: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.address = ("", 0)

    @classmethod
    async def open(cls, host: str) -> Self:
        """Listens at a port that was free."""
        relay = cls()
        relay._server = await asyncio.start_server(relay._met, host, 0, limit=LINE_BYTES)
        relay.address = relay._server.sockets[0].getsockname()[:2]
        return relay

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._taken:
            task.cancel()
        await asyncio.gather(*self._taken, return_exceptions=True)

    def expect(self, taker: Taker) -> str:
        """The token by which the connection will be known."""
        token = secrets.token_hex(TOKEN_BYTES)
        self._expected[_digest(token)] = taker
        return token

    def forget(self, token: str) -> None:
        """Nobody comes with it any more."""
        self._expected.pop(_digest(token), None)

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._taken.add(task)
        try:
            _steady(writer)
            async with asyncio.timeout(HELLO_S):
                token = await reader.readexactly(2 * TOKEN_BYTES)
            taker = self._expected.pop(_digest(token.decode("ascii", "replace")), None)
            if taker is not None:
                await taker((reader, writer))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # The server's own callback would report what is only the end.
            pass
        finally:
            self._taken.discard(task)
            writer.close()


async def reach(address: tuple[str, int], token: str) -> Pair:
    """The node's end. Raises OSError, TimeoutError."""
    async with asyncio.timeout(CONNECT_S):
        reader, writer = await asyncio.open_connection(*address, limit=LINE_BYTES)
    _steady(writer)
    writer.write(token.encode("ascii"))
    return reader, writer


async def splice(near: Pair, far: Pair) -> End:
    """Carries bytes both ways until either end is over. What is open is the caller's to close."""
    up, down = asyncio.create_task(_pump(near[0], far[1])), asyncio.create_task(_pump(far[0], near[1]))
    try:
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        if down.done():
            return {"over": "far", "unread": "broken", "unwritten": "near"}[down.result()]  # type: ignore[return-value]
        return "broken" if up.result() == "unwritten" else "near"
    finally:
        for way in (up, down):
            way.cancel()
        await asyncio.gather(up, down, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Literal["over", "unread", "unwritten"]:
    """How it ended: the reader was at its end, or one of the two broke."""
    while True:
        try:
            chunk = await reader.read(CHUNK)
        except OSError:
            return "unread"
        if not chunk:
            return "over"
        try:
            writer.write(chunk)
            await writer.drain()
        except OSError:
            return "unwritten"


def _steady(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, _IDLE_S),
        (socket.TCP_KEEPINTVL, _EVERY_S),
        (socket.TCP_KEEPCNT, _TRIES),
        (socket.TCP_USER_TIMEOUT, _UNHEARD_MS),
    ):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _digest(token: str) -> bytes:
    """A token is looked up by this, so that how long that takes says nothing of it."""
    return hashlib.sha256(token.encode()).digest()
