"""A vLLM server for a gateway on another machine: `python -m sia_tui.policy.door --config FILE.json` (see `Settings`).

vLLM itself listens on a unix socket: whoever reaches it may have it read any path, and run code where its development mode
is on. This door listens at one address, to whoever has the run's token, for what a gateway asks and nothing else. Adapters
come as files and are loaded by their content. Once it listens it says where, as a line of JSON; it ends with its standard
input, and with vLLM.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import logging
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector, web
from pydantic import Field

from sia_tui.core.text import one_line
from sia_tui.policy import gateway, sockets, vllm_server
from sia_tui.policy.adapters import adapter_hash
from sia_tui.policy.carrying import FILES
from sia_tui.policy.outside import Lost
from sia_tui.policy.wire import Refused, Strict, bad_request, parse
from sia_tui.policy.wire import Settings as Server

log = logging.getLogger("sia.door")

ASKED = ("/health", "/metrics", "/v1/models", "/is_paused")
TOLD = ("/pause", "/resume", "/sleep", "/wake_up", "/v1/completions")
MOST_BYTES = 2**26
"""Of a request that is no file."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Settings(Strict):
    """A door's configuration file; it holds the token, so it is to be readable by its owner alone."""

    host: str
    """The one address that is listened at."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """0: any that is free."""
    token: Annotated[str, Field(min_length=32)]
    server: Server


class LoadLora(Strict):
    lora_name: str
    lora_path: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Its content's sha256, in place of a path."""


class UnloadLora(Strict):
    lora_name: str


class GivenUp(Strict):
    why: str


class Doorway:
    """What is let through. `http` leads to vLLM."""

    def __init__(self, settings: Settings, http: ClientSession, server: vllm_server.Server) -> None:
        self._token, self._http, self._server = settings.token, http, server
        self._adapters = Path(settings.server.sockets) / "adapters"
        self._loaded: dict[str, str] = {}
        """vLLM's names, and the content of each."""
        self.given_up = ""

    def application(self) -> web.Application:
        app = web.Application(middlewares=[gateway.errors, self._known], client_max_size=MOST_BYTES)
        for path in ASKED:
            app.router.add_get(path, self.forward)
        for path in TOLD:
            app.router.add_post(path, self.forward)
        app.router.add_get(r"/adapters/{sha256:[0-9a-f]{64}}", self.there)
        app.router.add_put(r"/adapters/{sha256:[0-9a-f]{64}}/{name}", self.bring)
        app.router.add_post("/v1/load_lora_adapter", self.load)
        app.router.add_post("/v1/unload_lora_adapter", self.unload)
        app.router.add_post("/end", self.end)
        return app

    @property
    def _known(self) -> Any:
        @web.middleware
        async def known(request: web.Request, handler: Handler) -> web.StreamResponse:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._token.encode()):
                raise Refused(401, "invalid_request_error", "the run's token is missing or another one")
            return await handler(request)

        return known

    async def forward(self, request: web.Request) -> web.Response:
        return await self._pass(request.method, request.path_qs, await request.read())

    async def there(self, request: web.Request) -> web.Response:
        folder = self._adapters / request.match_info["sha256"]
        if not all((folder / name).is_file() for name in FILES):
            raise Refused(404, "not_found", "this adapter is not here")
        return web.json_response({})

    async def bring(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in FILES:
            raise Refused(404, "not_found", f"an adapter is {' and '.join(FILES)}")
        folder = self._adapters / request.match_info["sha256"]
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{name}.part"
        with part.open("wb") as file:
            async for piece in request.content.iter_chunked(2**20):
                await asyncio.to_thread(file.write, piece)
        part.replace(folder / name)
        return web.json_response({})

    async def load(self, request: web.Request) -> web.Response:
        asked = parse(LoadLora, await request.read())
        folder = self._adapters / asked.lora_path
        try:
            if await asyncio.to_thread(adapter_hash, folder) != asked.lora_path:
                shutil.rmtree(folder)
                raise bad_request(f"what was brought is not adapter {asked.lora_path[:12]}")
        except OSError as error:
            raise bad_request(str(error)) from error
        told = {"lora_name": asked.lora_name, "lora_path": str(folder)}
        answer = await self._pass("POST", request.path, json.dumps(told).encode())
        if answer.status == 200:
            self._loaded[asked.lora_name] = asked.lora_path
        return answer

    async def unload(self, request: web.Request) -> web.Response:
        """What no name needs any more leaves the disk."""
        asked = parse(UnloadLora, await request.read())
        answer = await self._pass("POST", request.path, await request.read())
        if (sha256 := self._loaded.pop(asked.lora_name, None)) and sha256 not in self._loaded.values():
            shutil.rmtree(self._adapters / sha256, ignore_errors=True)
        return answer

    async def end(self, request: web.Request) -> web.Response:
        """The gateway has no use for the server any more: it hangs, or says what the others do not."""
        self.given_up = one_line(parse(GivenUp, await request.read()).why, 300)
        with suppress(ProcessLookupError):
            self._server.process.kill()
        return web.json_response({})

    async def _pass(self, method: str, path: str, body: bytes) -> web.Response:
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            async with self._http.request(method, f"http://vllm{path}", data=body or None, headers=headers) as answer:
                kind = answer.headers.get("Content-Type", "application/json").split(";")[0]
                return web.Response(status=answer.status, body=await answer.read(), content_type=kind)
        except (ClientError, OSError) as error:
            raise Refused(502, "server_error", f"{error or type(error).__name__}: {self._server.reason()}") from error


async def serve(settings: Settings) -> None:
    """Until a signal; raises Lost when vLLM ends."""
    folder = Path(settings.server.sockets)
    lock = sockets.private_folder(folder)
    shutil.rmtree(folder / "adapters", ignore_errors=True)
    context = context_of(settings.server)
    with sockets.opened(folder) as short:
        connector = UnixConnector(f"{short}/{vllm_server.SOCKET}", limit=0, force_close=True)
        async with (
            vllm_server.running(settings.server, context) as server,
            ClientSession(connector=connector, timeout=ClientTimeout(total=None)) as http,
        ):
            doorway = Doorway(settings, http, server)
            runner = web.AppRunner(doorway.application(), access_log=None, handler_cancellation=True)
            await runner.setup()
            site = web.TCPSite(runner, settings.host, settings.port)
            await site.start()
            host, port = runner.addresses[0][:2]
            print(json.dumps({"url": f"http://{f'[{host}]' if ':' in host else host}:{port}"}), flush=True)
            try:
                await gateway.ended(asyncio.create_task(watched(server, doorway)))
            finally:
                await runner.cleanup()
    os.close(lock)


def context_of(server: Server) -> int:
    """As `vllm.read_base` has it, without seconds of imports. Raises Lost."""
    told = json.loads((Path(server.model_dir) / "config.json").read_bytes())
    longest = told.get("text_config", told).get("max_position_embeddings") or server.context
    if longest is None:
        raise Lost(f"{server.model_dir}/config.json names no max_position_embeddings: set policy.context")
    return min(server.context or longest, longest)


async def watched(server: vllm_server.Server, doorway: Doorway) -> NoReturn:
    await server.process.wait()
    raise Lost(doorway.given_up or f"{server.ended()}: {server.reason()}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sia_tui.policy.door", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    try:
        settings = parse(Settings, parser.parse_args().config.read_bytes())
    except Refused as error:
        sys.exit(f"configuration: {error.message}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if not (Path(settings.server.model_dir) / "config.json").is_file():
        sys.exit(f"no model in {settings.server.model_dir} on this node: config.json is missing")
    if settings.server.watch_stdin:
        # Whoever was to tidy up is gone, maybe with its whole node's processes.
        gateway.end_with_parent(partial(shutil.rmtree, settings.server.sockets, ignore_errors=True))
    try:
        asyncio.run(serve(settings))
    except (Lost, OSError, RuntimeError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
