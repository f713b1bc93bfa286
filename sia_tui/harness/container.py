"""A slot as a container: podman or docker put up the walls, with any runtime that they know (gVisor's runsc too).

The image is empty, or one the config names: interpreter, environment and the slot's folders are mounted into it, read-only.
A container inherits no descriptors, so the worker fetches its sockets at a meeting, before it gives up connecting; from then
on it lives for as long as the engine holds the other end (see `inside/guard.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import functools
import hashlib
import io
import os
import resource
import shutil
import socket
import struct
import subprocess
import tarfile
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sia_tui.core.containers import PROGRAMS, WALLS
from sia_tui.harness.environment import base_interpreter
from sia_tui.harness.excess import THREADS
from sia_tui.harness.interpreter import inspect, system_folders
from sia_tui.harness.sandbox import Finding, Layout, Mount, SandboxUnavailable, system_mounts
from sia_tui.harness.walls import Container

MEETING = Path("/meeting")
NOBODY = 65534
PROBE_S = 60.0
_MEBIBYTE = 1024 * 1024
_AT_ONCE = 100
"""Descriptors in one message: the kernel takes 253."""
_MOST = 16384
_PREFIX = "sia-meeting-"
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class Means:
    """A program and a runtime that were seen to work together."""

    program: str
    runtime: str | None
    image: str

    @property
    def is_podman(self) -> bool:
        return "podman" in Path(self.program).name


@dataclass(frozen=True)
class Room:
    """What one container may use, and as whom."""

    uid: int
    memory: int
    """Bytes, of all its processes and of what it writes to its sized folders."""
    files: int


@functools.cache
def found(wanted: Container) -> tuple[Means | None, Finding]:
    """Tries a container for real, once per process; with runc as well where the program's own runtime does not do."""
    program = next(filter(None, map(shutil.which, PROGRAMS if wanted.program == "auto" else (wanted.program,))), None)
    if program is None:
        return None, Finding(False, "no podman and no docker", "apt install podman, or set harness.container.program")
    _sweep()
    said = ""
    for runtime in (wanted.runtime,) if wanted.runtime else (None, *filter(shutil.which, ("runc",))):
        try:
            means = Means(program, runtime, wanted.image or _empty_image(program))
            _tried(means)
        except (OSError, subprocess.SubprocessError, SandboxUnavailable) as error:
            said = "; ".join(filter(None, (said, str(error))))
        else:
            return means, Finding(True)
    hint = f"`{Path(program).name} run` must work here, by itself or with harness.container.runtime"
    return None, Finding(False, f"no container starts: {said}", hint)


def _tried(means: Means) -> None:
    """Raises where Python does not start in one as a slot's would."""
    python = inspect(base_interpreter())
    argv = [str(python.executable), "-I", "-S", "-c", "print('started')"]
    room = Room(os.geteuid() or NOBODY, 256 * _MEBIBYTE, 64)
    at = Meeting()
    try:
        tried = _asked(command(means, at, Layout(system_mounts(python)), {}, room, argv))
    finally:
        at.close()
    if tried.returncode != 0 or "started" not in tried.stdout:
        lines = tried.stderr.strip().splitlines()
        raise SandboxUnavailable(lines[-1][:300] if lines else f"exit status {tried.returncode}")


def _empty_image(program: str) -> str:
    """Nothing but the system's links to its libraries. Raises SandboxUnavailable."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, folder in system_folders():
            entry = tarfile.TarInfo(str(path).lstrip("/"))
            if path != folder:
                entry.type, entry.linkname = tarfile.SYMTYPE, str(folder).lstrip("/")
            else:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
    name = f"localhost/sia-tui-empty:{hashlib.sha256(packed.getvalue()).hexdigest()[:16]}"
    if _asked([program, "image", "inspect", name]).returncode != 0:
        made = subprocess.run(
            [program, "import", "-", name], input=packed.getvalue(), capture_output=True, timeout=PROBE_S, check=False
        )
        if made.returncode != 0:
            raise SandboxUnavailable(made.stderr.decode(errors="replace").strip()[-300:])
    return name


def _asked(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, timeout=PROBE_S, check=False)


def require(wanted: Container) -> Means:
    """Raises SandboxUnavailable."""
    means, finding = found(wanted)
    if means is None:
        raise SandboxUnavailable(f"container: {finding}")
    return means


def command(
    means: Means, at: Meeting, layout: Layout, environment: Mapping[str, str], room: Room, argv: Sequence[str]
) -> list[str]:
    """The command line that runs `argv` in a container. To be started with this process' environment."""
    words = [means.program, "run", "--name", at.name, *WALLS, *_whose(means, room.uid)]
    words += ["--runtime", means.runtime] if means.runtime else []
    words += ["--ipc", "none", "--hostname", "harness", "--workdir", "/", "--log-driver", "none"]
    words += ["--security-opt", "label=disable", "--pids-limit", str(2 * THREADS)]
    words += ["--memory", str(room.memory), "--memory-swap", str(room.memory), "--ulimit", "core=0:0"]
    words += ["--ulimit", f"nofile={room.files}:{room.files}", "--ulimit", f"nproc={_processes()}:{_processes()}"]
    words += [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
    words += [word for mount in layout.mounts for word in ("--mount", _mounted(mount))]
    for path, size in (layout.sized or {}).items():
        words += ["--tmpfs", f"{path}:rw,exec,nosuid,nodev,size={size},mode=1777"]
    for path in layout.hidden:
        # Over a folder podman fills a tmpfs with what the folder holds, and docker has no word against it.
        words += ["--mount", _mounted(Mount(at.empty, path))]
    first, *others = argv
    return [*words, "--entrypoint", first, means.image, *others]


def _whose(means: Means, uid: int) -> list[str]:
    """Not root, on either side of the wall."""
    words = ["--user", f"{uid}:{uid if os.geteuid() == 0 else os.getgid()}"]
    if means.is_podman:
        words += ["--read-only-tmpfs=false", "--no-hosts", "--passwd=false", "--http-proxy=false"]
        words += [] if os.geteuid() == 0 else ["--userns", "keep-id"]
    return words


def _processes() -> int:
    """The kernel counts them by user, not by container: what holds a container is its limit of process numbers."""
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    return _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)


def _mounted(mount: Mount) -> str:
    line = io.StringIO()
    how = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
    csv.writer(line, lineterminator="").writerow([*how, *([] if mount.writable else ["readonly"])])
    return line.getvalue()


class Meeting:
    """Where the worker in a container fetches its sockets, once; nobody else sees the folder."""

    def __init__(self) -> None:
        self.name = f"sia-slot-{os.getpid()}-{uuid.uuid4().hex}"
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self._shown = self._folder / "shown"
        self._shown.mkdir()
        self.empty = self._folder / "empty"
        self.empty.mkdir()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._shown / "socket"))
        # Whoever the worker is inside: the folder around it is closed to all others.
        (self._shown / "socket").chmod(0o666)
        self._listener.listen(1)
        self._listener.setblocking(False)

    @property
    def mount(self) -> Mount:
        return Mount(self._shown, MEETING)

    async def met(self, client: asyncio.subprocess.Process, lanes: Sequence[int], deadline_s: float) -> Met:
        """The control socket, with the lanes handed over. One whose other end is closed where the worker never came."""
        loop = asyncio.get_running_loop()
        coming = asyncio.ensure_future(loop.sock_accept(self._listener))
        ending = asyncio.ensure_future(client.wait())
        try:
            await asyncio.wait({coming, ending}, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                near, far = socket.socketpair()
                far.close()
                return Met(near, None)
            control, _ = coming.result()
            # Copies: at the loop's end nobody waits for the thread, and a lane's number may be another file's by then.
            await asyncio.to_thread(_handed, control, [os.dup(lane) for lane in lanes])
            pid, _, _ = _CREDENTIALS.unpack(control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            return Met(control, pid or None)
        finally:
            for waiting in (coming, ending):
                waiting.cancel()
            await asyncio.gather(coming, ending, return_exceptions=True)

    def close(self) -> None:
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass(frozen=True)
class Met:
    control: socket.socket
    pid: int | None
    """Of whoever came, where this machine can see it: its first process inside."""


def _handed(control: socket.socket, lanes: Sequence[int]) -> None:
    """Blocking; the lanes are closed at its end. Whoever fetches nothing is told nothing."""
    control.settimeout(10.0)
    try:
        with contextlib.suppress(OSError):
            for start in range(0, len(lanes), _AT_ONCE):
                socket.send_fds(control, [b"l"], list(lanes[start : start + _AT_ONCE]))
    finally:
        for lane in lanes:
            os.close(lane)
    control.setblocking(False)


def _sweep() -> None:
    """Meetings of engines that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if not Path("/proc", folder.name.removeprefix(_PREFIX).split("-")[0]).exists():
            shutil.rmtree(folder, ignore_errors=True)


def remove(means: Means, name: str) -> None:
    """For certain, whatever became of it."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        _asked([means.program, "rm", "--force", name])
