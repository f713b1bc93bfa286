"""Serves the window to browsers that were let in: textual-serve, with the locks that it lacks.

Whoever reaches the page could approve a step, so: a token that is printed once becomes a cookie (SameSite=Strict,
HttpOnly); a request must name this host, against DNS rebinding, and a socket must come from this very page, against
other sites' scripts; nothing is loaded from anywhere else.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import shlex
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from aiohttp import web
from textual_serve.server import Server

HERE = Path(__file__).parent
COOKIE = "sia-tui-{port}"
"""Browsers keep one for a host, whatever the port: two pages of one machine would log each other out."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANYWHERE = ("0.0.0.0", "::", "")
"""To listen at; no browser finds it by these."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
ON = '<!doctype html><meta http-equiv="refresh" content="0; url=/"><title>sia-tui</title>'
PARTING_S = 3.0
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def origin(url: str) -> str:
    """As browsers name it in their headers: without a slash at its end, or the port that goes without saying. Raises
    ValueError."""
    found = urlsplit(url)
    if found.scheme not in ("http", "https") or not found.netloc or found.path.strip("/") or found.query:
        raise ValueError(f"{url}: give http:// or https:// and a host, with nothing behind it")
    return f"{found.scheme}://{found.netloc.lower().removesuffix(':443' if found.scheme == 'https' else ':80')}"


class Guarded(Server):
    """One process of `command` a browser window; it ends with the window."""

    def __init__(self, command: Sequence[str], host: str, port: int, url: str | None, title: str) -> None:
        """`url`: where browsers find it, if not under host and port (behind a proxy). Raises ValueError for one that is
        no place of its own."""
        found = origin(url or f"http://{f'[{host}]' if ':' in host else host}:{port}")
        super().__init__(shlex.join(command), host, port, title, found, templates_path=HERE)
        self._cookie = COOKIE.format(port=port)
        self.token = secrets.token_urlsafe(24)
        self._found = urlsplit(found).netloc
        self._windows: set[asyncio.Task[object]] = set()
        """Handlers of sockets: each ends with its browser window."""

    @property
    def login(self) -> str:
        return f"{self.public_url}/login?token={self.token}"

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled; `ready` is called when the port is open. Raises OSError where it cannot be."""
        runner = web.AppRunner(await self._make_app(), access_log=None, shutdown_timeout=PARTING_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
            ready()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard)
        app.router.add_get("/login", self._log_in)
        app.router.add_get("/page.css", self._style)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Whoever started it says where it is."""

    async def on_shutdown(self, app: web.Application) -> None:
        """Browsers that still look on are not waited for."""
        for window in self._windows:
            window.cancel()
        if self._windows:
            await asyncio.wait(self._windows, timeout=PARTING_S)

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        window = cast("asyncio.Task[object]", asyncio.current_task())
        self._windows.add(window)
        try:
            return await super().handle_websocket(request)
        finally:
            self._windows.discard(window)

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.host != self._found:
            raise web.HTTPForbidden(text=f"this is {self.public_url}")
        if request.path != "/login" and not self._known(request.cookies.get(self._cookie, "")):
            raise web.HTTPForbidden(text="open the address that sia-tui serve has printed")
        if request.path == "/ws" and request.headers.get("Origin") != self.public_url:
            raise web.HTTPForbidden(text="the window is opened from its own page")
        answer = await handler(request)
        if not answer.prepared:
            answer.headers.update(HEADERS)
        return answer

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        if not self._known(request.query.get("token", "")):
            raise web.HTTPForbidden(text="another token than the one that sia-tui serve has printed")
        # Not sent on: after a link in a mail's page, a browser keeps a strict cookie back until a page of our own asks.
        answer = web.Response(text=ON, content_type="text/html")
        secure = self.public_url.startswith("https:")
        answer.set_cookie(self._cookie, self.token, httponly=True, samesite="Strict", path="/", secure=secure)
        return answer

    async def _style(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(HERE / "page.css")

    def _known(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.token.encode())
