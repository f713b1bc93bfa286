"""A real Chromium without a display, driven over its own debugging protocol (CDP), as far as these tests need it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pyte

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PACKET_HEAD = 5


class Page:
    """One tab. `screen` is what the frames that its socket received would show on a terminal."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._terminal = pyte.Screen(200, 60)
        self._stream = pyte.ByteStream(self._terminal)
        self._came = asyncio.Event()
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self.statuses: dict[str, int] = {}

    @property
    def screen(self) -> str:
        return "\n".join(self._terminal.display)

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        return await asyncio.wait_for(answer, 30)

    async def open(self, url: str) -> None:
        for domain in ("Network", "Page", "Log", "Runtime"):
            await self.send(f"{domain}.enable")
        await self.send("Page.navigate", url=url)

    async def see(self, text: str, within_s: float = 60.0) -> None:
        end = asyncio.get_running_loop().time() + within_s
        while text not in self.screen:
            assert asyncio.get_running_loop().time() < end, f"{text!r} did not come: {self.screen}\n{self.complaints}"
            self._came.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), 1.0)

    async def press(self, key: str) -> None:
        await self.send("Input.dispatchKeyEvent", type="keyDown", text=key, key=key, unmodifiedText=key)
        await self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def click(self, x: int, y: int) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            await self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def evaluate(self, script: str) -> Any:
        answer = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return answer["result"]["result"].get("value")

    async def listen(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if told.get("id") in self._answers:
                self._answers.pop(told["id"]).set_result(told)
            else:
                self._heard(told.get("method", ""), told.get("params", {}))

    def _heard(self, method: str, told: dict[str, Any]) -> None:
        match method:
            case "Network.requestWillBeSent":
                self.requested.append(told["request"]["url"])
            case "Network.webSocketCreated":
                self.requested.append(told["url"])
            case "Network.responseReceived":
                self.statuses[told["response"]["url"]] = told["response"]["status"]
            case "Network.webSocketFrameReceived" if told["response"]["opcode"] == 2:
                self._stream.feed(base64.b64decode(told["response"]["payloadData"]))
                self._came.set()
            case "Log.entryAdded" if told["entry"]["level"] == "error":
                self.complaints.append(told["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(told["exceptionDetails"]))


@asynccontextmanager
async def browsing() -> AsyncIterator[Page]:
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            PROGRAM,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "--window-size=1400,900",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=os.environ | {"HOME": profile},
            start_new_session=True,
        )
        try:
            async with aiohttp.ClientSession() as http:
                async with http.get(f"http://127.0.0.1:{await _port(Path(profile))}/json/list") as answer:
                    [target] = [page for page in await answer.json() if page["type"] == "page"]
                async with http.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=1 << 26) as socket:
                    page = Page(socket)
                    listening = asyncio.ensure_future(page.listen())
                    yield page
                    listening.cancel()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            await process.wait()


async def _port(profile: Path) -> int:
    """Chromium writes it down when it listens."""
    async with asyncio.timeout(60):
        while True:
            with suppress(OSError, ValueError, IndexError):
                return int((profile / "DevToolsActivePort").read_text().splitlines()[0])
            await asyncio.sleep(0.05)
