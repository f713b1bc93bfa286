"""What somebody who does not own a run asks of its engine, over a socket: the kernel says who it is."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sia_tui.store.reader import Answer
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths

SOCKET = "answers.sock"
MOST_BYTES = 4 * 1024 * 1024
KINDS = ("approve", "reject", "amend", "defer", "more-evidence")
"""What an approver may ask: everything about an open gate that binds nothing beyond it."""
ANSWER_S = 25.0
LISTENS_S = 1.0


def is_anothers(paths: RunPaths) -> bool:
    """Root may do as its owner."""
    return os.geteuid() not in (0, paths.root.stat().st_uid)


def ask(paths: RunPaths, kind: str, body: Mapping[str, Any]) -> Answer:
    """Raises StoreError where nobody listens."""
    line = json.dumps({"kind": kind, "body": dict(body)}).encode() + b"\n"
    if len(line) > MOST_BYTES:
        return Answer(False, f"more than {MOST_BYTES} bytes")
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(ANSWER_S)
            _connect(asking, paths.root)
            asking.sendall(line)
            told = b""
            while not told.endswith(b"\n") and (more := asking.recv(65536)):
                told += more
        said = json.loads(told)
        return Answer(bool(said["ok"]), str(said["message"]))
    except (FileNotFoundError, ConnectionRefusedError, PermissionError):
        raise StoreError(
            f"run {paths.name} is another user's: its gates are answered through its engine, and none takes answers now"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"the engine of {paths.name} did not answer ({error}); what was asked may be in its queue"
        ) from None


def listens(folder: Path) -> bool:
    """Whether the engine of a shared run is there, which says nothing."""
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(LISTENS_S)
            _connect(asking, folder)
    except (FileNotFoundError, ConnectionRefusedError, PermissionError):
        return False
    except (TimeoutError, BlockingIOError):
        # Too many are asking something that is there.
        return True
    return True


def _connect(asking: socket.socket, folder: Path) -> None:
    """An address holds 107 bytes, and folders are deeper than that."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        asking.connect(f"/proc/self/fd/{fd}/{SOCKET}")
    finally:
        os.close(fd)
