"""The process that a candidate runs in, and the socket to it: what it says there is not believed, only expected.

Out of it come "up" before any of the candidate's code has run, "loaded" or "failed: ..." after, and a byte for every call.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from sia_tui.tasks.trimul.programs import Command, end, launch

Failure = Literal["compile", "crash", "timeout", "wrong", "cheating", "held"]

LOOK_S: Final = 0.05
SAID: Final = 2000
"""Characters, from its end, of what a process that died had written."""
_PASS_CREDENTIALS: Final = 16


class KernelFailed(Exception):
    """A call, or the loading, that did not end well: what kind of failure it is, and one line of why."""

    def __init__(self, kind: Failure, why: str) -> None:
        super().__init__(why)
        self.kind = kind


class RunnerFailed(Exception):
    """The process did not come up: the machine's fault or the sandbox', never the kernel's."""


class Peer:
    """Started at once; `close` it. With `listens` its last words are part of why it ended."""

    def __init__(self, command: Command, listens: bool = False) -> None:
        self.pid = 0
        self._control, theirs = socket.socketpair()
        self._control.setsockopt(socket.SOL_SOCKET, _PASS_CREDENTIALS, 1)
        self._said = tempfile.TemporaryFile() if listens else None  # noqa: SIM115 - closed in close
        output = self._said.fileno() if self._said else subprocess.DEVNULL
        self._process = launch(command, theirs.fileno(), output)
        theirs.close()

    def greeted(self, within_s: float) -> int:
        """The process' id as this side knows it, vouched for by the system, before any of the candidate's code runs."""
        self._control.settimeout(within_s)
        try:
            said, about, _, _ = self._control.recvmsg(16, socket.CMSG_SPACE(12))
        except TimeoutError:
            raise RunnerFailed(f"the kernel's process did not start within {within_s:g} s") from None
        if said != b"up\n":
            raise RunnerFailed(f"the kernel's process did not start: {self.ending()}")
        self.pid = int(struct.unpack("iII", about[0][2])[0])
        return self.pid

    def load(self, header: Mapping[str, Any], files: Sequence[int], within_s: float) -> None:
        socket.send_fds(self._control, [json.dumps(header).encode()], list(files))
        self._control.settimeout(within_s)
        try:
            said = self._control.recv(4096)
        except TimeoutError:
            raise KernelFailed("timeout", f"it was not loaded within {within_s:g} s") from None
        if not said:
            raise KernelFailed("crash", f"while it was loaded: {self.ending()}")
        if said.startswith(b"failed: "):
            raise KernelFailed("compile", said[8:].decode("utf-8", "replace").strip())
        if said != b"loaded\n":
            raise KernelFailed("cheating", "it wrote to the runner's socket while it was loaded")

    def tell(self, byte: bytes) -> None:
        try:
            self._control.sendall(byte)
        except OSError:
            raise KernelFailed("crash", f"between two calls: {self.ending()}") from None

    def wait(self, late: Callable[[], None]) -> None:
        """For a call to be answered. `late` is asked every LOOK_S, and raises when it is."""
        self._control.settimeout(LOOK_S)
        while True:
            try:
                said = self._control.recv(2)
                break
            except TimeoutError:
                late()
            except OSError:
                said = b""
                break
        if not said:
            raise KernelFailed("crash", f"during a call: {self.ending()}")
        if said != b".":
            raise KernelFailed("cheating", "it wrote to the runner's socket itself")

    def unasked(self) -> None:
        """Raises KernelFailed if there is an answer that nobody asked for."""
        self._control.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            if self._control.recv(1, socket.MSG_PEEK):
                raise KernelFailed("cheating", "it answered without being asked")

    def ending(self) -> str:
        try:
            code = self._process.wait(2)
        except subprocess.TimeoutExpired:
            return "it closed the runner's socket"
        number = -code if code < 0 else code - 128
        if number in {one.value for one in signal.Signals}:
            return f"killed by {signal.Signals(number).name}"
        return f"it ended by itself with status {code}{self._last_words()}"

    def close(self) -> None:
        end(self._process)
        self._control.close()
        if self._said:
            self._said.close()

    def _last_words(self) -> str:
        if self._said is None:
            return ""
        size = self._said.seek(0, 2)
        self._said.seek(max(0, size - SAID))
        words = self._said.read().decode("utf-8", "replace").strip()
        return f": {words}" if words else ""
