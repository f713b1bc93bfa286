"""A provider of language models on 127.0.0.1: real HTTP in the OpenAI, Anthropic and Google formats, said by a script.

    async with Provider([Call("look", {"at": "dev"}), Say("done")]) as provider:      # in the test's event loop
    with Provider(lambda asked: Say(f"{len(asked.results)} results")) as provider:    # in a thread, for other processes

The script is a list of turns or a function of the request; `faults` come before it, one a request. Requests the real
API would refuse are refused in its words (400, 401, 404). What was sent is in `provider.requests`. A script that
raises or has run out answers 400, and raises when the provider is left.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.agents import anthropic_wire, google_wire, openai_wire
from tests.agents.turns import Asked, Fault, Refused, Script, Turn, Wire, answer, require

KEY = "sk-test-7f3a9c1e5b2d4086"
SECRET_HEADERS = {"authorization", "x-api-key", "x-goog-api-key"}
DEADLINE = 10.0
"""Seconds for the thread to begin and to end."""


@dataclass
class Recorded:
    """One request, as it came."""

    path: str
    headers: Mapping[str, str]
    """Lower case, without the key."""
    key: str | None
    body: str
    asked: Asked | None = None
    """None where the request was refused."""
    status: int = 200
    error: str | None = None
    """What a refusal or a fault said."""


class Provider:
    """`models`: the only names it knows; any, where there are none. Any other key than `key` is refused."""

    def __init__(
        self, script: Script = (), *, faults: Iterable[Fault] = (), key: str = KEY, models: tuple[str, ...] = ()
    ) -> None:
        self._next = script if callable(script) else _each(script)
        self.faults, self.key, self.models = deque(faults), key, models
        self.requests: list[Recorded] = []
        self.port = 0
        self._names = itertools.count(1)
        self._broken: list[Exception] = []

    @property
    def address(self) -> str:
        """What Anthropic's and Google's clients call base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_address(self) -> str:
        return f"{self.address}/v1"

    @property
    def asked(self) -> list[Asked]:
        return [recorded.asked for recorded in self.requests if recorded.asked]

    def strings(self) -> Iterator[str]:
        """Every string and every key that was ever sent to a model, JSON inside of strings unfolded too."""
        for recorded in self.requests:
            yield from _strings(recorded.body)

    # ── as it is opened ──

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", lambda http: self._serve(http, openai_wire))
        app.router.add_post("/v1/messages", lambda http: self._serve(http, anthropic_wire))
        app.router.add_post("/v1beta/models/{model}:{method}", lambda http: self._serve(http, google_wire))
        app.router.add_get("/v1/models", self._list)
        self._closing = asyncio.Event()
        self._runner = web.AppRunner(app, shutdown_timeout=1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any = None) -> None:
        self._closing.set()
        await self._runner.cleanup()
        if self._broken and error is None:
            raise self._broken[0]

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return asyncio.run_coroutine_threadsafe(self.__aenter__(), self._loop).result(DEADLINE)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self.__aexit__(kind, error), self._loop).result(DEADLINE)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(DEADLINE)
            self._loop.close()

    # ── what it answers ──

    async def _serve(self, http: web.Request, wire: Wire) -> web.StreamResponse:
        recorded = await self._record(http, wire)
        try:
            asked = recorded.asked = self._admit(recorded, http, wire)
            turn = self.faults.popleft() if self.faults else self._turn(asked)
            if isinstance(turn, Fault):
                return await self._fail(http, wire, turn, recorded, asked)
            return await _send(http, asked.stream, _said(wire, turn, asked, self._named(wire)))
        except Refused as refused:
            return self._refuse(wire, refused, recorded)

    async def _record(self, http: web.Request, wire: Wire) -> Recorded:
        headers = {name.lower(): value for name, value in http.headers.items()}
        key = wire.key(headers)
        shown = {name: value for name, value in headers.items() if name not in SECRET_HEADERS}
        self.requests.append(Recorded(http.path_qs, shown, key, await http.text()))
        return self.requests[-1]

    def _admit(self, recorded: Recorded, http: web.Request, wire: Wire) -> Asked:
        require(recorded.key == self.key, "Incorrect API key provided.", status=401)
        try:
            body = json.loads(recorded.body)
        except ValueError:
            raise Refused("We could not parse the JSON body of your request.") from None
        try:
            asked = wire.parse(body, recorded.headers, http.match_info)
        except (KeyError, TypeError, AttributeError, IndexError) as wrong:
            raise Refused(f"Invalid request: {wrong!r}") from wrong
        known = not self.models or asked.model in self.models
        require(known, f"The model `{asked.model}` does not exist or you do not have access to it.", status=404)
        return asked

    def _turn(self, asked: Asked) -> Turn:
        try:
            return self._next(asked)
        except Exception as error:  # the script's own assertions: raised where the provider is left
            self._broken.append(error)
            raise Refused(f"the test's script raised {error!r}") from error

    def _named(self, wire: Wire) -> Iterator[str]:
        return (f"{wire.CALL_ID}{number:04}" for number in self._names)

    def _refuse(self, wire: Wire, refused: Refused, recorded: Recorded, **headers: Any) -> web.Response:
        recorded.status, recorded.error = refused.status, refused.message
        return web.json_response(wire.error(refused), status=refused.status, headers=headers)

    async def _list(self, http: web.Request) -> web.Response:
        wire: Wire = anthropic_wire if "anthropic-version" in http.headers else openai_wire
        recorded = await self._record(http, wire)
        if recorded.key != self.key:
            return self._refuse(wire, Refused("Incorrect API key provided.", status=401), recorded)
        kind = (
            {"type": "model", "created_at": "2026-01-01T00:00:00Z"} if wire is anthropic_wire else {"object": "model"}
        )
        names = [{"id": name, "display_name": name, "created": 1767225600, **kind} for name in self.models]
        return web.json_response({"object": "list", "data": names, "has_more": False})

    async def _fail(
        self, http: web.Request, wire: Wire, fault: Fault, recorded: Recorded, asked: Asked
    ) -> web.StreamResponse:
        recorded.error = fault.kind
        said = _said(wire, fault.begun, asked, self._named(wire))
        half = said[: max(1, len(said) // 2)] if asked.stream else [said[0][: len(said[0]) // 2]]
        match fault.kind:
            case "status":
                after = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
                return self._refuse(wire, Refused("scripted to fail", status=fault.status), recorded, **after)
            case "key_echoed":
                raise Refused(f"Incorrect API key provided: {recorded.key}.", status=401)
            case "stall" | "cut":
                await self._pause(fault.seconds if fault.kind == "stall" else 0)
                return _hang_up(http, web.Response())
            case "stall_midway" | "cut_midway":
                response = await _send(http, asked.stream, half, of=sum(map(len, said)), end=False)
                await self._pause(fault.seconds if fault.kind == "stall_midway" else 0)
                return _hang_up(http, response)
            case "ends_early":
                return await _send(http, asked.stream, half)
            case "malformed":
                return await _send(http, asked.stream, [said[0][: len(said[0]) // 2] + b"\n\n"])
            case "error_midway" if asked.stream:
                lost = wire.error_event(Refused("scripted to fail midway", status=fault.status))
                return await _send(http, True, [*half, lost.encode()])
            case "error_midway":
                raise Refused("scripted to fail midway", status=fault.status)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)


def _each(turns: Iterable[Turn]) -> Callable[[Asked], Turn]:
    left = iter(turns)

    def following(asked: Asked) -> Turn:
        turn = next(left, None)
        assert turn is not None, f"the script has no turn for request {asked.turn}: {asked.messages[-1]}"
        return turn

    return following


def _said(wire: Wire, turn: Any, asked: Asked, names: Iterator[str]) -> list[bytes]:
    """The body, by event where it is streamed."""
    said = answer(turn, names)
    texts = wire.events(said, asked) if asked.stream else [json.dumps(wire.whole(said, asked))]
    return [text.encode() for text in texts]


async def _send(
    http: web.Request, stream: bool, body: list[bytes], *, of: int | None = None, end: bool = True
) -> web.StreamResponse:
    """`of` bytes are promised, all of `body` by default; without `end` the rest of them may follow."""
    response = web.StreamResponse()
    response.content_type = "text/event-stream" if stream else "application/json"
    if not stream:
        response.content_length = sum(map(len, body)) if of is None else of
    await response.prepare(http)
    for part in body:
        await response.write(part)
    if end:
        await response.write_eof()
    return response


def _hang_up(http: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    if http.transport is not None:
        http.transport.close()
    return response


def _strings(sent: Any) -> Iterator[str]:
    if isinstance(sent, str):
        yield sent
        try:
            within = json.loads(sent)
        except ValueError:
            return
        yield from _strings(within) if isinstance(within, dict | list) else ()
    elif isinstance(sent, dict):
        yield from itertools.chain.from_iterable(map(_strings, itertools.chain(sent, sent.values())))
    elif isinstance(sent, list):
        yield from itertools.chain.from_iterable(map(_strings, sent))
