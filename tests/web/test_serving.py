"""The window in a browser: who is let in, and that a real one shows it and can press its keys."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from sia_tui.cli.main import USAGE, main
from sia_tui.web.server import Guarded
from tests.tui.runs import make_run
from tests.web.chromium import PROGRAM, browsing

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def served(workspace: Path, *more: str) -> AsyncIterator[str]:
    """`sia-tui serve` on a run; the address that it prints."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sia_tui",
        "serve",
        "--workspace",
        str(workspace),
        "--port",
        str(port),
        *more,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        told = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        assert told.startswith("open http"), told
        yield told.split()[1]
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    make_run(tmp_path / "runs" / "sql-repair-07", "patch_gate")
    return tmp_path


async def test_only_who_was_told_the_token_is_let_in_and_only_from_the_page(workspace: Path) -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http, served(workspace, "--read-only") as address:
        home, _, token = address.partition("/login?token=")
        assert home.startswith("http://127.0.0.1:") and len(token) >= 32

        async def status(path: str, **asked: object) -> int:
            async with http.get(home + path, allow_redirects=False, **asked) as answer:  # type: ignore[arg-type]
                return answer.status

        for path in ("/", "/ws", "/static/js/textual.js", "/page.css", "/download/x", "/login", "/login?token=guess"):
            assert await status(path) == 403, path
        async with http.get(address, allow_redirects=False) as answer:
            cookie = answer.headers["Set-Cookie"]
            assert answer.status == 200 and "HttpOnly" in cookie and "SameSite=Strict" in cookie
            assert 'content="0; url=/"' in await answer.text(), "asked for by this page, the cookie comes along"
        async with http.get(home + "/") as answer:
            page = await answer.text()
            assert answer.status == 200 and "token" not in page
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert await status("/", headers={"Host": "evil.example"}) == 403, "a name that was bound to this address"
        for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": f"{home}.evil.example"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(home + "/ws", headers=origin)
            assert refused.value.status == 403
        window = await http.ws_connect(home + "/ws?width=100&height=30", headers={"Origin": home})
        seen = b""
        async with asyncio.timeout(60):
            while not (b"sql-repair-07" in seen and b"READ ONLY" in seen):
                message = await window.receive()
                seen += message.data if isinstance(message.data, bytes) else b""
        # Who still looks on is not waited for when it is told to end.
        looking_on = asyncio.create_task(_look_on(window))
    await looking_on


async def _look_on(window: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in window:
        pass


@pytest.mark.parametrize(
    ("host", "port", "url", "found"),
    [
        ("127.0.0.1", 8000, None, "http://127.0.0.1:8000"),
        ("::1", 8000, None, "http://[::1]:8000"),
        ("localhost", 80, None, "http://localhost"),
        ("0.0.0.0", 8000, "https://Here.example/", "https://here.example"),
        ("0.0.0.0", 8000, "https://here.example:443", "https://here.example"),
    ],
)
def test_it_is_called_what_browsers_call_it(host: str, port: int, url: str | None, found: str) -> None:
    server = Guarded(["true"], host, port, url, "")
    assert server.public_url == found == f"{found.partition(':')[0]}://{server._found}"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0: say with --url where browsers find it"),
        (
            ["--url", "https://here.example/under/it"],
            "https://here.example/under/it: give http:// or https:// and a host",
        ),
        (["--url", "here.example:8000"], "here.example:8000: give http:// or https:// and a host"),
    ],
)
def test_an_address_that_nobody_could_open_is_refused(
    workspace: Path, asked: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--workspace", str(workspace), *asked]) == USAGE
    assert said in capsys.readouterr().err


@pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine")
async def test_chromium_shows_the_window_and_presses_its_keys(workspace: Path) -> None:
    async with served(workspace) as address, browsing() as page:
        await page.open(address)
        await page.see("GENERATIONS")
        await page.click(300, 300)
        await page.press("3" if "home" in page.screen else "2")
        await page.see("run this patch on dev?")
        assert {url.split("/")[2] for url in page.requested if not url.startswith("data:")} == {address.split("/")[2]}
        assert await page.evaluate("document.cookie") == "" and "token" not in await page.evaluate("location.href")
        assert page.complaints == [] and set(page.statuses.values()) <= {101, 200, 303}
