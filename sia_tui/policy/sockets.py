"""Unix sockets in a private folder, at paths of any length.

A socket address holds 107 bytes and workspaces are deeper than that, so sockets are named through an open descriptor
of their folder (`/proc/self/fd/N/name`). Linux only.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sia_tui.flock import got

ADMIN = "admin.sock"


def lane_name(index: int) -> str:
    return f"lane-{index}.sock"


@contextmanager
def opened(folder: Path) -> Iterator[str]:
    """The folder by a short name that is good while the context is open."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def private_folder(folder: Path) -> int:
    """Makes the folder 0700, clears it of stale sockets and locks it; returns the descriptor that holds the lock.

    Raises RuntimeError when another gateway serves there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    lock = os.open(folder / "gateway.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not got(lock):
        os.close(lock)
        raise RuntimeError(f"another gateway serves in {folder}")
    remove_sockets(folder)
    return lock


def remove_sockets(folder: Path) -> None:
    for path in folder.glob("*.sock"):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink(missing_ok=True)


def listen(folder: Path, name: str) -> socket.socket:
    """A bound socket, mode 0600 from its first moment. Changes the process' umask meanwhile: call it before threads."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with opened(folder) as short:
            sock.bind(f"{short}/{name}")
    finally:
        os.umask(before)
    return sock


def connect(folder: Path, name: str, timeout_s: float) -> socket.socket:
    """A connected, blocking socket. Raises OSError when nobody listens."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout_s)
    try:
        with opened(folder) as short:
            sock.connect(f"{short}/{name}")
    except OSError:
        sock.close()
        raise
    sock.settimeout(None)
    return sock
