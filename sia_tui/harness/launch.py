"""Starts one confined process and ends it for certain.

Knows nothing of episodes: it hands over a control socket, keeps the process' output in a file of bounded size, and
kills the whole group when told.
"""

from __future__ import annotations

import asyncio
import base64
import compileall
import contextlib
import functools
import json
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from sia_tui.children import end, end_group, ended, finished, gone, started
from sia_tui.harness import agent, container, sandbox, seccomp
from sia_tui.harness.agent import Agent
from sia_tui.harness.excess import PERIOD_S, THREADS, Allowed, excess
from sia_tui.harness.interpreter import Interpreter, inspect
from sia_tui.harness.messages import CAPS, LINE_BYTES
from sia_tui.harness.sandbox import Isolation, Layout, Mount
from sia_tui.harness.slot import Slot, taken
from sia_tui.harness.walls import Walls

INSIDE = Path(__file__).parent / "inside"
PYTHON_FLAGS = ("-s", "-S", "-B", "-X", "utf8")
"""No site folders and no byte code written. Not -I: it would ignore PYTHONHASHSEED, and the environment is ours."""

MEETING_S = 60.0
"""How long a container may take to start."""

Mode = Literal["serve", "prepare"]


class Limits(BaseModel):
    """What one worker may use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory_mb: int = Field(default=4096, ge=128)
    """Address space, so somewhat more than what is resident."""
    scratch_mb: int = Field(default=256, ge=1)
    """Size of /scratch and of /tmp; without bubblewrap the size of any one file."""
    tools_mb: int = Field(default=1024, ge=1)
    """What prepare() may leave behind."""
    cpu_s: int = Field(default=86_400, ge=1)
    open_files: int = Field(default=256, ge=32)
    threads: int = Field(default=1, ge=1)
    """For numpy and its kin, in each worker."""
    ready_s: float = Field(default=60.0, gt=0)
    grace_s: float = Field(default=2.0, gt=0)
    """How long past its deadline an episode may be silent before the worker is taken for stuck and killed."""
    log_kb: int = Field(default=1024, ge=1)


class Setup(BaseModel):
    """What is mounted for a worker and how it is confined. `tools` is the folder that prepare() wrote."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Isolation
    python: Path
    harness: Path
    rows: Path
    tools: Path
    log: Path
    limits: Limits = Limits()
    agent: Agent | None = None
    """The harness is this program, not a Python package."""
    walls: Walls = Walls()

    @property
    def memory(self) -> int:
        """Bytes that the slot may use together, its files in memory included."""
        return (self.limits.memory_mb + 2 * self.limits.scratch_mb) * 1024 * 1024


class Child(Protocol):
    """A running confined process, wherever it is. The streams carry JSON lines both ways."""

    level: Isolation
    node: str
    """Of a cluster; nothing: this machine."""

    @property
    def reader(self) -> asyncio.StreamReader: ...

    @property
    def writer(self) -> asyncio.StreamWriter: ...

    def kill(self) -> None: ...

    async def ending(self) -> str:
        """How the process ended, in words, once it is known."""

    def lost(self) -> str:
        """Why the machine that it is on cannot be heard, or nothing."""

    async def close(self) -> None: ...


@dataclass
class LocalChild:
    """One of this machine."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    drain: asyncio.Task[None]
    slot: Slot
    first: int | None
    """Of its processes, which is looked at with all that it started; None where a container hides it."""
    level: Isolation
    node: str = ""
    watch: asyncio.Task[None] | None = None
    excess: str = ""
    """What it was killed for having too much of."""

    async def watched(self, allowed: Allowed) -> None:
        """Looks until it ends, or has too much of something and is killed."""
        while self.process.returncode is None and not self.excess:
            await asyncio.sleep(PERIOD_S)
            if self.first is not None:
                try:
                    self.excess = await asyncio.to_thread(excess, self.first, allowed)
                except Exception as error:  # noqa: BLE001 - whoever cannot be looked at is held by no limit
                    self.excess = f"what cannot be looked at ({type(error).__name__})"
        self.kill()

    def kill(self) -> None:
        """All of it at once, a container with the socket. Of a process that has ended the number may be another's by then, and
        its group's is not."""
        self.writer.transport.abort()
        (end if self.process.returncode is None else end_group)(self.process.pid)

    async def ending(self) -> str:
        """How the process ended, in words, once it is known."""
        try:
            code = await asyncio.wait_for(self.process.wait(), 2)
        except TimeoutError:
            return "it closed its control socket"
        if self.excess:
            return f"killed for {self.excess}"
        number = -code if code < 0 else code - 128 if code > 128 else 0
        if number in {s.value for s in signal.Signals}:
            name = signal.Signals(number).name
            return f"killed by {name}" + (" (CPU time limit)" if name == "SIGXCPU" else "")
        return f"exit status {code}"

    def lost(self) -> str:
        return ""

    async def close(self) -> None:
        self.kill()
        if self.watch is not None:
            self.watch.cancel()
        self.writer.close()
        await finished(self._left())

    async def _left(self) -> None:
        try:
            await gone(self.process)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.drain, 2)
        finally:
            await asyncio.to_thread(self.slot.leave)


async def spawn(setup: Setup, mode: Mode, lanes: Sequence[socket.socket] = ()) -> LocalChild:
    """Starts the worker. The lanes are its own from here on: this side's copies are closed, or nobody saw it die.

    Cancelled, the start is finished and undone: a slot half taken would stay behind, and numbers of lanes on their way to a
    container might be another file's by then.
    """
    return await finished(_spawned(setup, mode, lanes), LocalChild.close)


async def _spawned(setup: Setup, mode: Mode, lanes: Sequence[socket.socket]) -> LocalChild:
    if setup.agent is not None:
        agent.require(setup.agent, setup.level)
    try:
        python = await asyncio.to_thread(inspect, setup.python)
        await asyncio.to_thread(_compile)
        shown = _shown(setup, mode, python)
        files, beside = setup.limits.open_files, setup.log.parent
        slot = await asyncio.to_thread(taken, setup.level, setup.walls, shown, beside, setup.memory, files)
        try:
            return await _confined(setup, mode, python, slot, [lane.fileno() for lane in lanes])
        except BaseException:
            await asyncio.to_thread(slot.leave)
            raise
    finally:
        for lane in lanes:
            lane.close()


def _shown(setup: Setup, mode: Mode, python: Interpreter) -> tuple[Path, ...]:
    """What the slot is to read; what it prepares is its own."""
    packages = [python.site_packages] if python.site_packages else []
    tools = [setup.tools] if mode == "serve" else []
    programs = [mount.source for mount in agent.mounts(setup.agent)] if setup.agent else []
    return python.executable, *python.stdlib, *packages, INSIDE, setup.harness, setup.rows, *tools, *programs


async def _confined(setup: Setup, mode: Mode, python: Interpreter, slot: Slot, lanes: list[int]) -> LocalChild:
    plan = _Plan(setup, mode, python, slot)
    if mode == "prepare" and slot.uid is not None:
        os.chown(setup.tools, slot.uid.uid, slot.uid.uid)
    process, ours, first = await _begun(plan, lanes)
    try:
        reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_BYTES)
    except BaseException:
        ours.close()
        await ended(process)
        raise
    drain = asyncio.create_task(_keep_output(process, setup.log, setup.limits.log_kb * 1024))
    child = LocalChild(process, reader, writer, drain, slot, first, setup.level)
    child.watch = asyncio.create_task(child.watched(plan.allowed()))
    return child


@functools.cache
def _compile() -> None:
    """What runs inside, once: a slot writes no byte code, and would compile it at every start. Where the package cannot be
    written it does."""
    compileall.compile_dir(INSIDE, maxlevels=0, quiet=2)


async def _begun(plan: _Plan, lanes: list[int]) -> tuple[asyncio.subprocess.Process, socket.socket, int | None]:
    """The process, this side of its control socket, and the first process that is the slot's."""
    slot, meeting = plan.slot, plan.slot.meeting
    ours, theirs = socket.socketpair()
    try:
        argv = plan.argv(theirs.fileno(), lanes)
        process = await started(
            await asyncio.to_thread(slot.command, plan.layout, plan.environment(), argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=slot.outside(plan.environment()),
            pass_fds=[] if meeting else [theirs.fileno(), *lanes],
            start_new_session=True,
            cwd="/",
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    if meeting is None:
        return process, ours, process.pid
    ours.close()
    try:
        met = await meeting.met(process, lanes, MEETING_S)
    except BaseException:
        await ended(process)
        raise
    return process, met.control, met.pid


class _Plan:
    """Where everything stands inside, and what the worker is told about it."""

    def __init__(self, setup: Setup, mode: Mode, python: Interpreter, slot: Slot) -> None:
        self._setup = setup
        self._mode = mode
        self._python = python
        self.slot = slot
        self._mounts: list[Mount] = [slot.meeting.mount] if slot.meeting else []
        self.inside = self._at(INSIDE, "/sia")
        self.harness = self._at(setup.harness, "/harness")
        self.rows = self._at(setup.rows, "/rows")
        self.tools = self._at(setup.tools, "/tools", writable=mode == "prepare")
        self.packages = self._at(python.site_packages, "/environment") if python.site_packages else None
        self.scratch, self.tmp = (slot.scratch,) * 2 if slot.scratch else (Path("/scratch"), Path("/tmp"))
        self._programs = agent.mounts(setup.agent) if setup.agent else ()
        self._mounts += self._programs
        size = setup.limits.scratch_mb * 1024 * 1024
        self.layout = Layout(
            mounts=(*sandbox.system_mounts(python), *self._mounts),
            hidden=python.foreign_packages,
            sized={self.scratch: size, self.tmp: size},
        )

    def _at(self, source: Path, target: str, writable: bool = False) -> Path:
        real = source.resolve(strict=True)
        mount = Mount(real, Path(target) if self.slot.apart else real, writable)
        self._mounts.append(mount)
        return mount.target

    def argv(self, control: int, lanes: list[int]) -> list[str]:
        told = json.dumps(self._told(control, lanes))
        return [str(self._python.executable), *PYTHON_FLAGS, str(self.inside / "start.py"), told]

    def _told(self, control: int, lanes: list[int]) -> dict[str, Any]:
        return {
            "mode": self._mode,
            "meeting": str(container.MEETING / "socket") if self.slot.meeting else None,
            "control": control,
            "lanes": lanes,
            "harness": str(self.harness),
            "rows": str(self.rows),
            "tools": str(self.tools),
            "site_packages": str(self.packages) if self.packages else None,
            "caps": CAPS,
            "agent": self._agent(),
            "confine": self._confinement(),
        }

    def _agent(self) -> dict[str, Any] | None:
        """Its command line and what its environment has besides the worker's."""
        if self._setup.agent is None:
            return None
        first, *arguments = self._setup.agent.command
        found = dict(zip(self._setup.agent.needed, self._programs, strict=True))
        program = found[first].target if first in found else self._python.executable
        folders = dict.fromkeys(str(mount.target.parent) for mount in self._programs)
        packages = {"PYTHONPATH": str(self.packages)} if self.packages else {}
        python = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", **packages}
        return {
            "argv": [str(program), *arguments],
            "environment": {"PATH": ":".join(folders), **python},
            "unconfined": self._setup.level == "none",
        }

    def _confinement(self) -> dict[str, Any]:
        level = self._setup.level
        starts: seccomp.Starts = "agent" if self._setup.agent else "threads"
        code = b"" if level == "none" else seccomp.program(level == "landlock", starts)
        paths = sandbox.allowed_paths(level, self.layout, dict.fromkeys((self.scratch, self.tmp)))
        if self._setup.agent is not None:
            paths["run"] = paths["read"]
        return {
            "level": level,
            "uid": self.slot.sheds,
            "limits": self._limits(),
            "paths": paths,
            "loopback": self._setup.agent is not None,
            "seccomp": base64.b64encode(code).decode("ascii"),
        }

    def _limits(self) -> dict[str, int]:
        """The kernel counts a user's processes, so that the slot must be a user of its own or have a namespace of users."""
        limits = self._setup.limits
        largest = max(limits.scratch_mb, limits.tools_mb) if self._mode == "prepare" else limits.scratch_mb
        named = {
            "memory": limits.memory_mb * 1024 * 1024,
            "cpu": limits.cpu_s,
            "file": largest * 1024 * 1024,
            "files": limits.open_files,
            "core": 0,
        }
        return named | ({"processes": THREADS} if self.slot.counts_alone else {})

    def allowed(self) -> Allowed:
        """What is looked at while it runs."""
        limits, mebibyte = self._setup.limits, 1024 * 1024
        written = {} if self.slot.apart else {self.scratch: limits.scratch_mb * mebibyte}
        if self._mode == "prepare":
            written[self._setup.tools.resolve()] = limits.tools_mb * mebibyte
        return Allowed(written, (self.scratch, self.tmp) if self.slot.apart else ())

    def environment(self) -> dict[str, str]:
        """All there is. One thread each for the numeric libraries, no process pools, and the same hashes every time."""
        threads = str(self._setup.limits.threads)
        pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
        return {
            "HOME": str(self.scratch),
            "TMPDIR": str(self.tmp),
            "LOGNAME": "harness",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONHASHSEED": "0",
            "JOBLIB_MULTIPROCESSING": "0",
            **dict.fromkeys(pools, threads),
        }


async def _keep_output(process: asyncio.subprocess.Process, log: Path, limit: int) -> None:
    """Writes the first `limit` bytes to the log and throws the rest away, so that a chatty harness never blocks."""
    assert process.stdout is not None
    left = limit
    with log.open("ab", buffering=0) as file:
        while chunk := await process.stdout.read(65536):
            file.write(chunk[:left])
            if left and len(chunk) > left:
                file.write(b"\n[the rest is not kept]\n")
            left = max(0, left - len(chunk))
