"""The gateway process: `python -m sia_tui.policy.gateway --config FILE.json` (see `wire.Settings`).

Serves one model to untrusted harness workers, a unix socket each, and records every completion's token ids and
logprobs for the engine, which opens and closes the lanes over the admin socket. Sockets accept once the model is
loaded.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from sia_tui.loading import quickly
from sia_tui.policy import sockets
from sia_tui.policy.lanes import Lane
from sia_tui.policy.outside import Lost
from sia_tui.policy.rows import Backend, BackendError, Completion, call_to_json
from sia_tui.policy.wire import (
    ChatRequest,
    CloseLane,
    LoadAdapter,
    MoveReplica,
    OpenLane,
    Refused,
    Settings,
    TextRequest,
    bad_request,
    chat_response,
    parse,
    text_response,
)

log = logging.getLogger("sia.gateway")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KEEP_ALIVE_S = 7 * 24 * 3600.0
"""A worker inherits one connection and cannot make another, so idle ones are not closed."""


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Everything that goes wrong, in OpenAI's shape."""
    try:
        return await handler(request)
    except Refused as refused:
        answer = refused
    except BackendError as error:
        answer = bad_request(str(error))
    except web.HTTPRequestEntityTooLarge:
        answer = Refused(413, "invalid_request_error", "the request body is too large")
    except web.HTTPException as error:
        answer = Refused(error.status, "invalid_request_error", error.reason)
    except Exception as error:
        log.exception("%s %s", request.method, request.path)
        answer = Refused(500, "server_error", f"{type(error).__name__}: {error}"[:500])
    return web.json_response(answer.body(), status=answer.status)


class LaneApi:
    """What a harness worker sees on its socket."""

    def __init__(self, lane: Lane, backend: Backend) -> None:
        self._lane, self._backend = lane, backend

    def application(self, max_body: int) -> web.Application:
        app = web.Application(middlewares=[errors], client_max_size=max_body)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_post("/v1/completions", self.text)
        app.router.add_get("/v1/models", self.models)
        return app

    async def chat(self, http: web.Request) -> web.Response:
        self._lane.current()
        request = parse(ChatRequest, await http.read())
        messages = [message.model_dump() for message in request.messages]
        prompt_ids = self._backend.text.encode_chat(messages)
        name = self._lane.model_name
        wanted = request.max_completion_tokens or request.max_tokens
        completions = await self._lane.complete(request, messages, prompt_ids, wanted)
        tokens = self._tokens(completions) if request.logprobs else []
        return web.json_response(chat_response(name, request, prompt_ids, completions, tokens))

    async def text(self, http: web.Request) -> web.Response:
        self._lane.current()
        request = parse(TextRequest, await http.read())
        if isinstance(request.prompt, str):
            text, prompt_ids = request.prompt, self._backend.text.encode_text(request.prompt)
        else:
            prompt_ids = tuple(request.prompt)
            text = self._shown(prompt_ids)
        if not prompt_ids:
            raise bad_request("the prompt has no tokens")
        name = self._lane.model_name
        messages = [{"role": "prompt", "content": text}]
        completions = await self._lane.complete(request, messages, prompt_ids, request.max_tokens or 16)
        tokens = self._tokens(completions) if request.logprobs is not None else []
        return web.json_response(text_response(name, request, prompt_ids, completions, tokens))

    async def models(self, http: web.Request) -> web.Response:
        self._lane.current()
        entry = {"id": self._lane.model_name, "object": "model", "created": 0, "owned_by": "sia"}
        return web.json_response({"object": "list", "data": [entry | {"max_model_len": self._backend.context}]})

    def _shown(self, ids: tuple[int, ...]) -> str:
        try:
            return self._backend.text.decode(ids)
        except (OverflowError, ValueError, TypeError) as error:
            raise bad_request(f"prompt: not token ids of this model: {error}") from error

    def _tokens(self, completions: list[Completion]) -> list[list[str]]:
        return [[self._backend.text.decode([token]) for token in completion.ids] for completion in completions]


class AdminApi:
    """What the engine sees."""

    def __init__(self, lanes: list[Lane], backend: Backend) -> None:
        self._lanes, self._backend = lanes, backend
        self._started = time.monotonic()
        self._leaving: set[str] = set()
        self._asleep = False
        self._turning = asyncio.Lock()

    def application(self) -> web.Application:
        app = web.Application(middlewares=[errors], client_max_size=2**20)
        app.router.add_post(r"/lanes/{lane:\d+}/open", self.open)
        app.router.add_post(r"/lanes/{lane:\d+}/close", self.close)
        app.router.add_post("/adapters", self.load)
        app.router.add_delete("/adapters/{name}", self.unload)
        app.router.add_post("/sleep", self.sleep)
        app.router.add_post("/wake", self.wake)
        app.router.add_put(r"/replicas/{number:\d+}", self.move)
        app.router.add_get("/health", self.health)
        return app

    def _lane(self, http: web.Request) -> Lane:
        index = int(http.match_info["lane"])
        if index >= len(self._lanes):
            raise Refused(404, "not_found", f"there are lanes 0 to {len(self._lanes) - 1}")
        return self._lanes[index]

    async def open(self, http: web.Request) -> web.Response:
        lane, terms = self._lane(http), parse(OpenLane, await http.read())
        if terms.adapter in self._leaving:
            raise Refused(404, "not_found", f"adapter {terms.adapter!r} is being unloaded")
        self._awake()
        lane.open(terms)
        return web.json_response({"lane": lane.index, "episode": terms.episode})

    async def close(self, http: web.Request) -> web.Response:
        lane, terms = self._lane(http), parse(CloseLane, await http.read())
        session = await asyncio.shield(asyncio.ensure_future(lane.close(terms.wait_s)))
        calls = [call_to_json(call) for call in session.calls]
        told = {"calls": calls, "unanswered": session.unanswered, "delayed": session.delayed}
        return web.json_response({"lane": lane.index, "episode": session.terms.episode, **told})

    async def load(self, http: web.Request) -> web.Response:
        request = parse(LoadAdapter, await http.read())
        self._awake()
        digest = await self._backend.load_adapter(request.name, request.path)
        return web.json_response({"name": request.name, "sha256": digest})

    async def unload(self, http: web.Request) -> web.Response:
        name = http.match_info["name"]
        users = [lane.index for lane in self._lanes if lane.session and lane.session.terms.adapter == name]
        if users:
            raise Refused(409, "conflict", f"adapter {name!r} serves lane {users[0]}")
        if name not in self._backend.adapters or name in self._leaving:
            raise Refused(404, "not_found", f"adapter {name!r} is not loaded")
        self._awake()
        self._leaving.add(name)
        try:
            await self._backend.unload_adapter(name)
        finally:
            self._leaving.discard(name)
        return web.json_response({"name": name})

    async def sleep(self, http: web.Request) -> web.Response:
        """Refused while an episode is open: whoever asks in its name would wait for a model that is not there."""
        async with self._turning:
            users = [lane.index for lane in self._lanes if lane.session]
            if users:
                raise Refused(409, "conflict", f"lane {users[0]} is open")
            if not self._asleep:
                self._asleep = True
                try:
                    await self._backend.sleep()
                except BackendError:
                    self._asleep = False
                    raise
                log.info("asleep")
        return web.json_response({"asleep": True})

    async def wake(self, http: web.Request) -> web.Response:
        async with self._turning:
            if self._asleep:
                await self._backend.wake()
                self._asleep = False
                log.info("awake")
        return web.json_response({"asleep": False})

    async def move(self, http: web.Request) -> web.Response:
        """A server that another process holds was started anew, maybe elsewhere."""
        request, number = parse(MoveReplica, await http.read()), int(http.match_info["number"])
        if (move := getattr(self._backend, "move", None)) is None:
            raise Refused(404, "not_found", "there are no replicas")
        await move(number, request.door, request.why)
        return web.json_response({"replica": number})

    def _awake(self) -> None:
        if self._asleep:
            raise Refused(409, "conflict", "the policy sleeps: wake it first")

    async def health(self, http: web.Request) -> web.Response:
        backend = self._backend
        return web.json_response(
            {
                "status": "asleep" if self._asleep else "ok",
                "model": backend.model_id,
                "context": backend.context,
                "adapters": dict(backend.adapters),
                "lanes": len(self._lanes),
                "lanes_open": sum(lane.session is not None for lane in self._lanes),
                "uptime_s": round(time.monotonic() - self._started, 3),
                **backend.load(),
            }
        )


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises Lost when what answers is gone."""
    folder = Path(settings.sockets)
    lock = sockets.private_folder(folder)
    lanes: list[Lane] = []
    async with opened(settings, lambda: sum(lane.session is not None for lane in lanes)) as backend:
        log.info("serving %s on %d lanes in %s", backend.model_id, settings.lanes, settings.sockets)
        lanes.extend(Lane(i, backend, settings.call_deadline_s) for i in range(settings.lanes))
        runners: list[web.AppRunner] = []
        for lane in lanes:
            app = LaneApi(lane, backend).application(settings.max_body_bytes)
            runners.append(await listen(app, folder, sockets.lane_name(lane.index), cancel=True))
        runners.append(await listen(AdminApi(lanes, backend).application(), folder, sockets.ADMIN, cancel=False))
        await ended(asyncio.create_task(backend.run()))
    sockets.remove_sockets(folder)
    os.close(lock)


@asynccontextmanager
async def opened(settings: Settings, expected: Callable[[], int]) -> AsyncIterator[Backend]:
    """What answers, ready to. `expected()` is how many rows could be waiting at once."""
    if settings.backend == "hf":
        with quickly():
            from sia_tui.policy.hf import HF
            from sia_tui.policy.local import Local

            model = HF(
                settings.model_dir,
                device=settings.device,
                dtype=settings.dtype,
                threads=settings.threads,
                context=settings.context,
                name=settings.name,
            )
        yield Local(model, settings, expected)
    elif settings.backend == "vllm":
        with quickly(models=False):
            from sia_tui.policy import replicas, vllm

        async with replicas.opened(settings) if settings.several else vllm.opened(settings) as server:
            yield server
    else:
        from sia_tui.policy import remote

        async with remote.opened(settings) as server:
            yield server


async def listen(app: web.Application, folder: Path, name: str, *, cancel: bool) -> web.AppRunner:
    """`cancel`: a caller who hangs up cancels what was asked."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=cancel, keepalive_timeout=KEEP_ALIVE_S)
    await runner.setup()
    await web.SockSite(runner, sockets.listen(folder, name)).start()
    return runner


async def ended(serving: asyncio.Task[None]) -> None:
    """Returns on a signal; raises what stopped the backend."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    stopped.cancel()


def end_with_parent(last: Callable[[], None] = lambda: None) -> None:
    """Kills this process when standard input ends; from a thread, so that a busy loop cannot outlive the engine. `last` is
    done before."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        last()
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def main(arguments: list[str] | None = None) -> Any:
    parser = argparse.ArgumentParser(prog="python -m sia_tui.policy.gateway", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    try:
        settings = parse(Settings, parser.parse_args(arguments).config.read_bytes())
    except Refused as error:
        sys.exit(f"configuration: {error.message}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if settings.watch_stdin:
        end_with_parent()
    if settings.backend != "remote" and not (Path(settings.model_dir) / "config.json").is_file():
        sys.exit(f"no model in {settings.model_dir}: config.json is missing")
    status = 0
    try:
        asyncio.run(serve(settings))
    except Lost as lost:
        log.error("%s", lost)
        status = 1
    except Exception:
        log.exception("the gateway failed")
        status = 1
    logging.shutdown()
    os._exit(status)


if __name__ == "__main__":
    main()
