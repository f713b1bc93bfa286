"""The policy's servers on the nodes of a Ray cluster: plain processes (`policy/door.py`), each held by an actor that has the
GPUs for it. An actor starts its server and ends it; what is asked of the server does not pass through Ray.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from sia_tui.cluster.contents import Shelf
from sia_tui.cluster.executor import ClusterError
from sia_tui.core.text import last_line
from sia_tui.policy.door import Settings
from sia_tui.policy.wire import Door
from sia_tui.policy.wire import Settings as Server

LOOK_S, LONGEST_PAUSE_S = 2.0, 60.0
"""How often each is looked at; after a failed start it is twice as long each time, up to the longest."""
ANSWER_S = 30.0
"""An actor that says nothing for so long is lost."""
BEGIN_S = 120.0
"""How long a node may take to have its server listen; loading the model comes after."""
STOP_S = 8.0
LAST_S = 2.0
"""How long all of them together are asked how they were, before they are ended."""
LOG_BYTES = 4096

Moved = Callable[[int, Door, str], Awaitable[None]]
"""Which server, where it is now, why it is no longer where it was."""


class Holder:
    """The actor. Its server ends with it: by its closed input, however the actor ends."""

    def __init__(self, server: Mapping[str, Any], token: str) -> None:
        import ray

        shelf = Shelf()
        shelf.tidy()
        self._folder = folder = shelf.own("server-")
        folder.chmod(0o700)
        host = ray.util.get_node_ip_address()
        of = Server.model_validate({**server, "sockets": str(folder), "watch_stdin": True}, strict=False)
        config, self._log = folder / "door.json", folder / "door.log"
        config.touch(mode=0o600)
        config.write_text(Settings(host=host, token=token, server=of).model_dump_json())
        self._host = host
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sia_tui.policy.door", "--config", str(config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def listens(self) -> dict[str, str]:
        """`url`, and the `node` by Ray's id and its `host`. Raises ClusterError."""
        import ray

        assert self._process.stdout is not None
        killer = threading.Timer(BEGIN_S, self._process.kill)
        killer.start()
        try:
            said = self._process.stdout.readline()
        finally:
            killer.cancel()
        if not said:
            self._end()
            why = self._reason()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise ClusterError(f"no server on {self._host}: {why}")
        node = ray.get_runtime_context().get_node_id()
        return {"url": json.loads(said)["url"], "node": node, "host": os.uname().nodename}

    def ended(self) -> str | None:
        """Why, once it has."""
        return None if self._process.poll() is None else self._reason()

    def stop(self) -> None:
        self._process.terminate()
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self) -> None:
        """It is about to end by itself, or is made to."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)

    def _reason(self) -> str:
        lines = self._log.read_bytes()[-LOG_BYTES:].decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with status {self._process.returncode} and said nothing"


class Servers:
    """So many, from `start` to `stop`; one that is lost is started again wherever there is room. Ray is connected already."""

    def __init__(self, count: int, server: Mapping[str, Any], gpus: int, write: Callable[[str], None]) -> None:
        self._server, self._gpus, self._write = dict(server), gpus, write
        self._token = secrets.token_urlsafe(32)
        self._holders: list[Any] = [None] * count
        self.nodes = [""] * count
        """Ray's id of where each listens; nothing until it does."""

    async def start(self, within_s: float) -> tuple[Door, ...]:
        """The doors of all. Raises ClusterError when one is not there in time: no room for it, or it fails."""
        try:
            async with asyncio.timeout(within_s):
                return tuple(await asyncio.gather(*(self._begin(number) for number in range(len(self._holders)))))
        except TimeoutError as error:
            wanted = f"{len(self._holders)} servers of {self._gpus} GPUs each"
            raise ClusterError(
                f"{wanted} found no room in {within_s:g} s: add nodes, or ask for fewer replicas"
            ) from error

    async def keep(self, moved: Moved) -> NoReturn:
        """Looks after each; `moved` is told of one that was started again."""
        await asyncio.gather(*(self._keep(number, moved) for number in range(len(self._holders))))
        raise AssertionError("they are kept for good")

    async def stop(self) -> None:
        """Says of each that had ended by itself why."""
        listened = [number for number, node in enumerate(self.nodes) if node]
        faults = await asyncio.gather(*(self._fault(number, LAST_S) for number in listened))
        for number, why in zip(listened, faults, strict=True):
            if why is not None:
                self._write(f"server {number} of the policy, when it was to end: {why}")
        await asyncio.gather(*(self._end(number) for number in range(len(self._holders))))

    async def _keep(self, number: int, moved: Moved) -> NoReturn:
        pause_s = LOOK_S
        while True:
            await asyncio.sleep(pause_s)
            if (why := await self._fault(number)) is None:
                pause_s = LOOK_S
                continue
            await self._end(number)
            try:
                await moved(number, await self._begin(number), why)
            except ClusterError as failed:
                self._write(str(failed))
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _fault(self, number: int, within_s: float = ANSWER_S) -> str | None:
        from ray.exceptions import RayError

        try:
            async with asyncio.timeout(within_s):
                said: str | None = await self._holders[number].ended.remote()
                return said
        except TimeoutError:
            return f"its node says nothing for {within_s:g} s"
        except RayError as error:
            return f"its node or its actor is gone ({type(error).__name__})"

    async def _begin(self, number: int) -> Door:
        import ray
        from ray.exceptions import RayError

        options = {"num_cpus": 1, "num_gpus": self._gpus, "max_concurrency": 2, "scheduling_strategy": "SPREAD"}
        holder = ray.remote(Holder).options(**options).remote(self._server, self._token)
        self._holders[number] = holder
        try:
            said = await holder.listens.remote()
        except RayError as error:
            raise ClusterError(last_line(getattr(error, "cause", None) or error)) from error
        self.nodes[number] = said["node"]
        return Door(url=said["url"], token=self._token, where=f"node {said['host']}")

    async def _end(self, number: int) -> None:
        """Politely, then by force. Of a node that is gone nothing is left to end, and one that does not listen yet, or waits for
        room, has nothing to save."""
        import ray
        from ray.exceptions import RayError

        holder, self._holders[number] = self._holders[number], None
        listened, self.nodes[number] = self.nodes[number], ""
        if holder is None:
            return
        if listened:
            with suppress(RayError, TimeoutError):
                async with asyncio.timeout(STOP_S + 2):
                    await holder.stop.remote()
        ray.kill(holder)
