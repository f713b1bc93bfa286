"""The engine's place in a Ray cluster: one that runs already, or one of this machine alone on loopback.

Ray is asked from one thread of its own: what it starts dies with the thread that started it, and it would take over the
main thread's SIGTERM.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sia_tui.cluster.executor import ClusterError
from sia_tui.cluster.settings import ClusterSettings

JOIN_S = 120.0
LEAVE_S = 30.0

T = TypeVar("T")


@dataclass(frozen=True)
class Joined:
    address: str
    """host:port, for other processes of this machine that join too."""
    host: str
    """This machine, as the other nodes see it."""
    node: str
    """Ray's id of it."""
    _thread: ThreadPoolExecutor

    async def ask(self, what: Callable[[], T], deadline_s: float = 30.0) -> T:
        """Of Ray, in its thread. Raises TimeoutError."""
        async with asyncio.timeout(deadline_s):
            return await asyncio.get_running_loop().run_in_executor(self._thread, what)

    async def hold(self, content: bytes, deadline_s: float = 300.0) -> Any:
        """In Ray's object store, for nodes to fetch from it. Raises TimeoutError."""
        import ray

        return await self.ask(partial(ray.put, content), deadline_s)


@asynccontextmanager
async def joined(settings: ClusterSettings, folder: Path, gpus: str | None = None) -> AsyncIterator[Joined]:
    """Of a cluster of its own: `folder` is for its token, `gpus` are those that it may give, as CUDA_VISIBLE_DEVICES names them
    (None: all). Raises ClusterError."""
    os.environ |= environment(settings, folder)
    thread = ThreadPoolExecutor(1, "ray")
    loop = asyncio.get_running_loop()
    try:
        try:
            async with asyncio.timeout(JOIN_S):
                address, host, node = await loop.run_in_executor(thread, _begin, settings, gpus)
        except TimeoutError:
            raise ClusterError(_failed(settings, f"no answer within {JOIN_S:g} s")) from None
        _take_signals_back()
        try:
            yield Joined(address, host, node, thread)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await loop.run_in_executor(thread, _end)
    finally:
        thread.shutdown(wait=False)


def environment(settings: ClusterSettings, folder: Path) -> dict[str, str]:
    """How Ray is told, in the environment of every process that joins: no statistics, a token, and, where the cluster is
    this machine alone, no address but loopback."""
    told = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE", "token")}
    if settings.address is not None:
        return told
    token = folder / "token"
    if not token.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (
            suppress(FileExistsError),
            os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f,
        ):
            f.write(secrets.token_hex(32))
    # Ray's own name for it; on Linux too it is what keeps every port on loopback.
    told |= {"RAY_AUTH_TOKEN_PATH": str(token), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    # A busy machine takes longer to start Ray's own helpers than the 15 s or so that they are given.
    return told | {"RAY_agent_register_timeout_ms": "120000"}


def _begin(settings: ClusterSettings, gpus: str | None) -> tuple[str, str, str]:
    """Address, host and node of `Joined`.

    Blocks for seconds; on a busy machine the half minute that Ray gives itself may not do the first time. Raises
    ClusterError."""
    try:
        import ray
    except ImportError:
        raise ClusterError(
            "cluster.executor: ray needs Ray: pip install '.[ray]', or --set cluster.executor=local"
        ) from None
    # `local`: never one that somebody else has running here.
    how: dict[str, Any] = {
        "address": settings.address or "local",
        "include_dashboard": None if settings.address else False,
    }
    for last in (False, True):
        try:
            with _seeing(gpus if settings.address is None else None):
                ray.init(**how, log_to_driver=False, configure_logging=False)
            break
        except Exception as error:  # of Ray's a node that is slow to start is a plain one
            ray.shutdown()
            if last or settings.address is not None:
                said = next(iter(str(error).strip().splitlines()), type(error).__name__)
                raise ClusterError(_failed(settings, said)) from error
    host = str(ray.util.get_node_ip_address())
    if settings.address is None and not host.startswith("127."):
        ray.shutdown()
        raise ClusterError(_failed(settings, f"it listens on {host}, for it was imported before it was told not to"))
    told = ray.get_runtime_context()
    return told.gcs_address, host, told.get_node_id()


@contextmanager
def _seeing(gpus: str | None) -> Iterator[None]:
    """What Ray starts inside sees these GPUs alone, for good; this process' own children see what they saw before."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    try:
        yield
    finally:
        if seen is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = seen
        elif gpus is not None:
            del os.environ["CUDA_VISIBLE_DEVICES"]


def _take_signals_back() -> None:
    """Ray sets handlers of its own behind Python's back, by which SIGTERM ends the process in the middle of its work."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGABRT):
            signal.signal(number, signal.getsignal(number))
            signal.siginterrupt(number, False)


def _end() -> None:
    import ray

    ray.shutdown()


def _failed(settings: ClusterSettings, why: str) -> str:
    if settings.address is None:
        return f"Ray cannot be started on this machine: {why[:300]}; --set cluster.executor=local does without"
    return (
        f"the Ray cluster at {settings.address} cannot be joined: {why[:300]}; is this machine one of its nodes "
        "(ray start --address=HEAD:6379), with the token of its head in ~/.ray/auth_token?"
    )
