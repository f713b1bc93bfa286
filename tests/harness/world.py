"""A harness, its folders and a gateway to talk to, for tests that run the real worker in the real sandbox."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

from sia_tui.core.episodes import Case
from sia_tui.harness.container import found
from sia_tui.harness.environment import base_interpreter
from sia_tui.harness.launch import spawn
from sia_tui.harness.sandbox import Isolation, probe
from sia_tui.harness.walls import Container, Walls
from sia_tui.harness.workers import Limits, Setup, Worker

LEVELS: list[Isolation] = [level for level in ("bwrap", "landlock") if probe().of(level).works]
"""The levels that stand on this machine; test_sandbox says what is missing for the others."""


def levels() -> list[Isolation]:
    """These and, where one starts, a container; slower to ask and to start, so only for what is about the walls."""
    return [*LEVELS, *(["container"] if found(Container())[1].works else [])]  # type: ignore[list-item]


ECHO = """
from sia import Answer
async def solve(case, llm, tools):
    return Answer(case.inputs["say"])
"""

RUN_CODE = """
from sia import Answer
async def solve(case, llm, tools):
    names = {"llm": llm, "tools": tools}
    try:
        exec(case.inputs["code"], names)
        return Answer(str(names.get("result")))
    except BaseException as error:
        return Answer(f"{type(error).__name__}: {error}")
"""


def case(name: str = "case", **inputs: str) -> Case:
    return Case(name, "dev", inputs)


@dataclass
class World:
    """The folders of one harness at one level of isolation."""

    level: Isolation
    folder: Path
    python: Path = field(default_factory=base_interpreter)
    walls: Walls = field(default_factory=Walls)
    far_ends: list[socket.socket] = field(default_factory=list)

    def write(self, harness: str, tools: str | None = None) -> World:
        for name in ("harness", "rows", "tools"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "harness" / "harness.py").write_text(dedent(harness))
        if tools is not None:
            (self.folder / "harness" / "tools.py").write_text(dedent(tools))
        (self.folder / "rows" / "rows.jsonl").write_text('{"id": "r1", "inputs": {"text": "a"}, "label": "b"}\n')
        return self

    @property
    def log(self) -> Path:
        return self.folder / "worker.log"

    def setup(self, **limits: Any) -> Setup:
        return Setup(
            level=self.level,
            python=self.python,
            harness=self.folder / "harness",
            rows=self.folder / "rows",
            tools=self.folder / "tools",
            log=self.log,
            limits=Limits(**limits),
            walls=self.walls,
        )

    def worker(self, lanes: list[socket.socket] | int = 1, **limits: Any) -> Worker:
        """With a number: that many lanes nobody serves."""
        return worker(self.setup(**limits), self._unanswered(lanes) if isinstance(lanes, int) else lanes)

    def _unanswered(self, count: int) -> list[socket.socket]:
        pairs = [socket.socketpair() for _ in range(count)]
        self.far_ends += [far for _, far in pairs]
        return [near for near, _ in pairs]


def worker(setup: Setup, lanes: list[socket.socket]) -> Worker:
    return Worker(setup.limits, len(lanes), lambda: spawn(setup, "serve", lanes))


Answering = Callable[[dict[str, Any]], Awaitable[tuple[int, Mapping[str, Any]]]]


async def echoing(request: dict[str, Any]) -> tuple[int, Mapping[str, Any]]:
    """Replies with the last message's content, `n` times."""
    text = request["messages"][-1]["content"]
    choices = [
        {"index": i, "message": {"role": "assistant", "content": f"{text}/{i}"}, "finish_reason": "stop"}
        for i in range(request["n"])
    ]
    return 200, {"choices": choices, "usage": {"prompt_tokens": 1, "completion_tokens": 3 * request["n"]}}


@dataclass
class FakeGateway:
    """An HTTP/1.1 server on a unix socket that answers as `answer` says and keeps what it was asked."""

    path: Path
    answer: Answering = echoing
    requests: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0
    at_once: int = 0
    most_at_once: int = 0

    def lanes(self, count: int) -> list[socket.socket]:
        made = []
        for _ in range(count):
            lane = socket.socket(socket.AF_UNIX)
            lane.connect(str(self.path))
            made.append(lane)
        return made

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                assert head.startswith("POST /v1/chat/completions HTTP/1.1\r\n")
                length = int(head.lower().split("content-length:")[1].split("\r\n")[0])
                request = json.loads(await reader.readexactly(length))
                self.requests.append(request)
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                status, content = await self.answer(request)
                self.at_once -= 1
                body = json.dumps(content).encode()
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def gateway(answer: Answering = echoing) -> AsyncIterator[FakeGateway]:
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        fake = FakeGateway(Path(folder) / "lane.sock", answer)
        server = await asyncio.start_unix_server(fake.serve, fake.path)
        try:
            yield fake
        finally:
            server.close()


PROJECT_PYTHON = Path(sys.executable)
