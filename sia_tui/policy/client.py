"""The engine's side of the gateway: starts the process, opens and closes lanes, notices its death.

Costs neither torch nor aiohttp to import.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sia_tui
from sia_tui.children import die_with_parent, end_group, gone, started
from sia_tui.core.episodes import Call
from sia_tui.core.hardware import only
from sia_tui.policy import sockets
from sia_tui.policy.rows import call_from_json
from sia_tui.policy.wire import Door, Settings

LOG_LINES = 20
STOP_S = 5.0
REQUEST_S = 120.0
"""How long an admin request may take; loading an adapter waits for the batch in progress."""

TURN_S = 600.0
"""How long going to sleep or waking up may take: weights of many gigabytes change places."""


class GatewayError(Exception):
    """The gateway refused; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class GatewayDied(Exception):
    """The gateway's process is gone, or did not come up in time. The message ends with its last log lines."""


@dataclass(frozen=True)
class Closed:
    """What an episode leaves on its lane."""

    calls: tuple[Call, ...]
    unanswered: str = ""
    delayed: str = ""
    """Why the server behind the gateway left a call of it unanswered, or answered one late, if it did: what that did to the
    episode is nobody's."""


class Gateway:
    """A running gateway. Made by `start`; as a context manager it is stopped on leaving."""

    def __init__(
        self, process: asyncio.subprocess.Process, folder: Path, log_file: Path, size: int, config: Settings
    ) -> None:
        """`size`: of the log before the process wrote to it."""
        self._process, self._folder, self._log_file = process, folder, log_file
        self.lanes, self.dtype = config.lanes, config.dtype
        self._short = sockets.opened(folder)
        self._logged = size
        self._session: Any = None

    @classmethod
    async def start(
        cls,
        model_dir: Path,
        run_dir: Path,
        lanes: int,
        threads: int = 1,
        max_batch: int = 32,
        python: str = sys.executable,
        log_file: Path | None = None,
        ready_s: float = 300.0,
        **settings: Any,
    ) -> Gateway:
        """Spawns the process and waits until it serves. Sockets and configuration go to `run_dir/gateway`, output to
        `log_file` (there too by default); `settings` are further fields of `wire.Settings`.

        Raises GatewayDied when it ends or is not healthy within `ready_s`, of several servers `lag_s` later.
        """
        folder = absolute(run_dir) / "gateway"
        log_file = log_file or folder / "gateway.log"
        config = Settings(
            model_dir=str(absolute(model_dir)),
            sockets=str(folder),
            lanes=lanes,
            threads=threads,
            max_batch=max_batch,
            watch_stdin=True,
            ready_s=ready_s,
            **settings,
        )
        size = log_file.stat().st_size if log_file.exists() else 0
        process = await spawn(python, write(config), log_file, threads, only(config.gpus))
        gateway = cls(process, folder, log_file, size, config)
        try:
            await gateway._healthy(ready_s + (config.lag_s if config.several else 0.0))
        except BaseException:
            await gateway.stop()
            raise
        return gateway

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def open_lane(
        self,
        i: int,
        episode: str,
        adapter: str | None = None,
        train: bool = False,
        temperature: float = 1.0,
        max_tokens: int | None = None,
        max_calls: int = 64,
        max_total_tokens: int = 65536,
        seed: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """Temperature and most tokens of a completion are those of a lane opened for training.

        Raises GatewayError: 409 when the lane is open, 404 for an adapter that is not loaded."""
        terms = {
            "episode": episode,
            "adapter": adapter,
            "sampling": {"train": train, "temperature": temperature, "max_tokens": max_tokens},
            "max_calls": max_calls,
            "max_total_tokens": max_total_tokens,
            "seed": seed,
            "seconds": seconds,
        }
        await self._ask("POST", f"/lanes/{i}/open", terms)

    async def close_lane(self, i: int, wait_s: float = 0.0) -> tuple[Call, ...]:
        """Every completion made since opening. Calls in flight get `wait_s` and are then cancelled, unrecorded.

        Raises GatewayError (409) when the lane is not open.
        """
        return (await self.leave_lane(i, wait_s)).calls

    async def leave_lane(self, i: int, wait_s: float = 0.0) -> Closed:
        """As `close_lane`."""
        answer = await self._ask("POST", f"/lanes/{i}/close", {"wait_s": wait_s}, REQUEST_S + wait_s)
        calls = tuple(call_from_json(call) for call in answer["calls"])
        return Closed(calls, str(answer["unanswered"]), str(answer["delayed"]))

    async def chat(self, i: int, messages: Sequence[Mapping[str, str]], max_tokens: int) -> dict[str, Any]:
        """Ask the lane greedily, as a harness would: the engine's own questions, such as the proof of an adapter.

        Raises GatewayError.
        """
        import aiohttp

        body = {"messages": list(messages), "temperature": 0.0, "max_tokens": max_tokens}
        with sockets.opened(self._folder) as short:
            connector = aiohttp.UnixConnector(path=f"{short}/{sockets.lane_name(i)}")
            async with aiohttp.ClientSession(connector=connector) as http:
                return await self._ask("POST", "/v1/chat/completions", body, http=http)

    def connect(self, i: int) -> socket.socket:
        """A connection to the lane for a worker to inherit; it outlives episodes. Raises GatewayDied."""
        try:
            return sockets.connect(self._folder, sockets.lane_name(i), timeout_s=10.0)
        except OSError as error:
            raise self._died(f"lane {i} cannot be reached: {error}") from error

    async def load_adapter(self, name: str, path: Path) -> str:
        """Returns the sha256 of what is served. Raises GatewayError (400) for a name that serves other content."""
        answer = await self._ask("POST", "/adapters", {"name": name, "path": str(absolute(path))})
        return str(answer["sha256"])

    async def unload_adapter(self, name: str) -> None:
        """Raises GatewayError: 404 when it is not loaded, 409 while a lane uses it."""
        await self._ask("DELETE", f"/adapters/{name}")

    async def move(self, number: int, door: Door, why: str) -> None:
        """The server of that number was lost and is started anew behind that door. Raises GatewayError where there is none."""
        await self._ask("PUT", f"/replicas/{number}", {"door": door.model_dump(), "why": why})

    async def sleep(self) -> None:
        """Have the accelerator's memory given back; no lane can be opened until `wake`. Safe to call twice.

        Raises GatewayError (409) while a lane is open.
        """
        await self._ask("POST", "/sleep", timeout_s=TURN_S)

    async def wake(self) -> None:
        """Safe to call twice."""
        await self._ask("POST", "/wake", timeout_s=TURN_S)

    async def health(self) -> dict[str, Any]:
        return await self._ask("GET", "/health")

    async def wait_died(self) -> GatewayDied:
        """Returns once the process ended, for whoever watches it beside other work."""
        await self._process.wait()
        return self._died()

    async def stop(self) -> None:
        """Ends the process: politely, then by force. Safe to call twice."""
        if self._session is not None:
            await self._session.close()
            self._session = None
            self._short.__exit__(None, None, None)
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(STOP_S):
                    await self._process.wait()
            except TimeoutError:
                # A server that it has started is told by its death, and ends its own.
                end_group(self._process.pid)
                await gone(self._process)
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def _healthy(self, ready_s: float) -> None:
        end = time.monotonic() + ready_s
        while time.monotonic() < end:
            if self._process.returncode is not None:
                raise self._died()
            if (self._folder / sockets.ADMIN).exists():
                with suppress(GatewayDied):
                    await self.health()
                    return
            await asyncio.sleep(0.05)
        raise self._died(f"not healthy after {ready_s:g} s")

    def _http(self) -> Any:
        import aiohttp

        if self._session is None:
            path = f"{self._short.__enter__()}/{sockets.ADMIN}"
            self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=path, limit=0))
        return self._session

    async def _ask(
        self, method: str, path: str, body: Any = None, timeout_s: float = REQUEST_S, http: Any = None
    ) -> dict[str, Any]:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with (http or self._http()).request(
                method, f"http://gateway{path}", json=body, timeout=timeout
            ) as response:
                answer: dict[str, Any] = await response.json()
        except (aiohttp.ClientError, OSError) as error:
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._process.wait()
            raise self._died(f"{method} {path}: {error or type(error).__name__}") from error
        if response.status != 200:
            raise GatewayError(response.status, str(answer.get("error", {}).get("message", answer)))
        return answer

    def _died(self, why: str = "") -> GatewayDied:
        code = self._process.returncode
        what = "the gateway" + (" does not answer" if code is None else f" ended with status {code}")
        return GatewayDied("\n".join([f"{what}: {why}" if why else what, *last_lines(self._log_file, self._logged)]))


def absolute(path: Path) -> Path:
    return path.resolve()


def write(config: Settings) -> Path:
    """Puts the configuration beside the sockets; returns its file."""
    folder = Path(config.sockets)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "gateway.json"
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(config.model_dump_json(indent=1))
    return path


async def spawn(
    python: str, config: Path, log_file: Path, threads: int, placed: Mapping[str, str]
) -> asyncio.subprocess.Process:
    """In a process group of its own, holding its standard input open for as long as this process lives.

    `placed`: what of its environment says which GPUs it sees; a server that it starts inherits that.
    """
    root = str(Path(sia_tui.__file__).parent.parent)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **placed,
    }
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as log:
        return await started(
            (python, "-m", "sia_tui.policy.gateway", "--config", str(config)),
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
            # One that is stuck or stopped does not notice that its standard input has ended.
            preexec_fn=die_with_parent,
        )


def last_lines(path: Path, start: int = 0, count: int = LOG_LINES) -> list[str]:
    """Of what stands behind the byte `start`."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(start, file.tell() - 16384))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []
