"""A program as the harness: one process an episode, the case on its standard input, its answer the last line it writes.

It finds the policy at OPENAI_BASE_URL. The worker that starts it holds no code of the harness; both stand behind the same
walls.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import json
import os
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sia_tui.harness.inside import recording, relay, sia
else:
    import recording
    import relay
    import sia

SAID_BYTES = 1024 * 1024
"""Of what it writes the end is kept: there stands the answer, or what went wrong."""
COMPLAINT = 6000
"""Characters of its standard error that the trajectory keeps."""
ENDING_S = 2.0
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class AgentFailed(Exception):
    """It ended without an answer to take; `complaint` is the end of its standard error."""

    def __init__(self, message: str, complaint: str) -> None:
        super().__init__(message)
        self.complaint = complaint


class Agent:
    """`solve` of a harness that is a program. `told` is what the engine says of it (see launch)."""

    def __init__(self, told: Mapping[str, Any], harness: Path, rows: Path) -> None:
        _adopt_orphans()
        self._argv: Sequence[str] = told["argv"]
        self._unconfined: bool = told["unconfined"]
        self._environment = {**os.environ, **told["environment"], "SIA_ROWS": str(rows)}
        self._folder = harness
        self._scratch = Path(os.environ["HOME"])
        self._numbers = itertools.count(1)
        self._running: set[int] = set()
        self._starting = asyncio.Lock()
        """Held while a process is there that `_running` does not know yet."""

    async def solve(self, case: sia.Case, llm: sia.LLM, tools: None) -> sia.Answer:
        room = self._scratch / f"episode-{next(self._numbers)}"
        room.mkdir()
        try:
            async with relay.Relay(llm.lane) as address:
                return await self._ran(case, address, room)
        finally:
            shutil.rmtree(room, ignore_errors=True)

    async def _ran(self, case: sia.Case, address: str, room: Path) -> sia.Answer:
        named = {"OPENAI_BASE_URL": address, "OPENAI_API_BASE": address, "OPENAI_API_KEY": "none"}
        named |= {"HOME": str(room), "TMPDIR": str(room), "SIA_CASE_ID": case.id}
        transport, process = await self._started({**self._environment, **named})
        try:
            process.tell(json.dumps({"id": case.id, "inputs": case.inputs}))
            await process.exited.wait()
        finally:
            record = recording.current.get()
            if record is not None:
                record.complaint = process.complained.shown()
            await self._end(transport.get_pid())
            # Whoever left its group may hold the pipes open for ever.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.closed.wait(), ENDING_S)
            transport.close()
        return _answered(transport.get_returncode() or 0, process)

    async def _started(self, environment: Mapping[str, str]) -> tuple[asyncio.SubprocessTransport, _Process]:
        async with self._starting:
            transport, process = await asyncio.get_running_loop().subprocess_exec(
                _Process,
                *self._argv,
                cwd=self._folder,
                env=environment,
                start_new_session=True,
                preexec_fn=_die_with_parent if self._unconfined else None,
            )
            self._running.add(transport.get_pid())
        return transport, process

    async def _end(self, pid: int) -> None:
        """Its group, and whoever has left it and lost its parent: no process outlives its episode to ask in another's."""
        self._running.discard(pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        async with self._starting, asyncio.timeout(ENDING_S):
            # Again and again: what a stray has started is nobody else's child once that is dead.
            while strays := [child for child in _children() if child not in self._running and child != pid]:
                for child in strays:
                    _kill(child)
                await asyncio.sleep(0.005)


class _Process(asyncio.SubprocessProtocol):
    """What is heard of a process; its end is told apart from that of its pipes, which others may hold too."""

    def __init__(self) -> None:
        self.said, self.complained = _Tail(SAID_BYTES), _Tail(4 * COMPLAINT)
        self.exited, self.closed = asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self._stdin = transport.get_pipe_transport(0)

    def tell(self, text: str) -> None:
        """It need not read it."""
        self._stdin.write(text.encode("ascii") + b"\n")
        self._stdin.close()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        (self.said if fd == 1 else self.complained).add(data)

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()


class _Tail:
    """The end of a stream."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = b""

    def add(self, data: bytes) -> None:
        self._kept = (self._kept + data)[-self._most :]

    @property
    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")

    def shown(self) -> str:
        """The very end, without codes for a terminal."""
        readable = CONTROL.sub("\ufffd", self.text)
        return readable if len(readable) <= COMPLAINT else "…" + readable[-COMPLAINT + 1 :]


def _answered(status: int, process: _Process) -> sia.Answer:
    complaint = process.complained.shown()
    if status != 0:
        last = complaint.strip().splitlines()[-1:]
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        raise AgentFailed(f"the agent {how}: {''.join(last) or 'it said nothing'}", complaint)
    return sia.Answer(answer_in(process.said.text), notes={"stderr": complaint} if complaint else {})


def answer_in(said: str) -> str | None:
    """The last line that is not empty; where that is a JSON object with `answer`, its value. None for silence, or null."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if not lines:
        return None
    try:
        told = json.loads(lines[-1])
    except ValueError:
        return lines[-1]
    if not isinstance(told, dict) or "answer" not in told:
        return lines[-1]
    value = told["answer"]
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _adopt_orphans() -> None:
    """Processes whose parent ends become this one's children, so that they can be found."""
    set_child_subreaper = 36
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def _die_with_parent() -> None:
    """Without a process namespace nobody else would end it."""
    set_parent_death_signal = 1
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL, 0, 0, 0)


def _kill(child: int) -> None:
    """And bury whoever was dead already."""
    with contextlib.suppress(ProcessLookupError, PermissionError, ChildProcessError):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, os.WNOHANG)


def _children() -> list[int]:
    mine, found = str(os.getpid()), []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The fields after the name, which stands in brackets: state, parent.
            if (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1] == mine:
                found.append(int(folder.name))
    return found
