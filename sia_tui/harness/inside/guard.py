"""The first process of a container: starts the worker as its child, and ends with it, or with the engine.

A container outlives whoever started it, so somebody inside has to notice; whoever ends process 1 ends them all.
"""

from __future__ import annotations

import ctypes
import os
import select
import socket

_PR_SET_DUMPABLE = 4


def fetched(meeting: str, lanes: int) -> tuple[socket.socket, list[int]]:
    """The control socket and the lanes, from the engine."""
    control = socket.socket(socket.AF_UNIX)
    control.connect(meeting)
    found: list[int] = []
    while len(found) < lanes:
        said, fds, _, _ = socket.recv_fds(control, 1, 253)
        if not said:
            raise OSError("the engine left the meeting")
        found += fds
    return control, found


def stand(control: socket.socket) -> None:
    """Returns in the child. The parent cannot be looked into, and never returns."""
    child = os.fork()
    if child == 0:
        return
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    watched = select.poll()
    watched.register(control.fileno(), select.POLLRDHUP)
    watched.register(os.pidfd_open(child), select.POLLIN)
    for fd, _ in watched.poll():
        if fd == control.fileno():
            os._exit(137)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(status if status >= 0 else 128 - status)
