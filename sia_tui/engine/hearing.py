"""Takes answers to gates from approvers who do not own the run: who they are is what the kernel says of their end of the
socket, and whether they may is asked of the groups of that process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sia_tui.config.sections import ShareConfig
from sia_tui.policy.sockets import opened
from sia_tui.store.asked import ANSWER_S, KINDS, MOST_BYTES, SOCKET
from sia_tui.store.reader import Answer, RunReader, append_command
from sia_tui.store.sharing import group_id
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths

AT_ONCE = 8
EACH = 8
"""Connections that one user may have open: whoever says nothing keeps no approver out, and takes no more of our files."""
LINE_S = 5.0
POLL_S = 0.1
_SO_PEERGROUPS = 59
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class Peer:
    uid: int
    groups: frozenset[int]

    @property
    def name(self) -> str:
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid-{self.uid}"


@asynccontextmanager
async def hearing(paths: RunPaths, share: ShareConfig) -> AsyncIterator[None]:
    """Listens for as long as the context is open, where the run is shared; without approvers only to say so, and to be
    seen to be there. Raises StoreError."""
    if share.readers is None:
        yield
        return
    ear = _Ear(paths, share.approvers, None if share.approvers is None else group_id(share.approvers))
    path = paths.root / SOCKET
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with opened(paths.root) as short:
        listener.bind(f"{short}/{SOCKET}")
    # Whoever comes as far as the folder may speak; whether they are heard is decided by who they are.
    path.chmod(0o666)
    server = await asyncio.start_unix_server(ear.hear, sock=listener, limit=MOST_BYTES)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


@dataclass
class _Ear:
    paths: RunPaths
    group: str | None
    gid: int | None
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    open: Counter[int] = field(default_factory=Counter)
    """Connections, by user number."""

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            peer = peer_of(writer.get_extra_info("socket"))
            with self._one_more(peer) as may:
                if may and (answer := await self._answered(peer, reader)) is not None:
                    said = {"ok": answer.ok, "message": answer.message}
                    writer.write(json.dumps(said).encode() + b"\n")
                    await asyncio.wait_for(writer.drain(), LINE_S)
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()

    @contextlib.contextmanager
    def _one_more(self, peer: Peer) -> Iterator[bool]:
        may = self.open[peer.uid] < EACH
        self.open[peer.uid] += may
        try:
            yield may
        finally:
            self.open[peer.uid] -= may

    async def _answered(self, peer: Peer, reader: asyncio.StreamReader) -> Answer | None:
        """None for whoever only came to see whether somebody is there."""
        try:
            # Heard out in any case: a socket that is closed on words unread takes the answer with it.
            line = await asyncio.wait_for(reader.readline(), LINE_S)
            if not line:
                return None
            if self.gid is None:
                return Answer(False, f"{self.paths.name} has no approvers: its owner names them by share.approvers")
            if self.gid not in peer.groups and peer.uid not in (0, os.geteuid()):
                return Answer(False, f"{peer.name} is not in the group {self.group}, whose members answer its gates")
            told = json.loads(line)
            kind, body = told["kind"], dict(told["body"])
        except (TimeoutError, ValueError, KeyError, TypeError, RecursionError):
            return Answer(False, "malformed command")
        if kind not in KINDS:
            return Answer(False, f"{kind} is for whoever owns the run; approvers may: {', '.join(KINDS)}")
        async with self.turns:
            try:
                return await self._asked(peer, kind, body)
            except StoreError as error:
                return Answer(False, str(error))

    async def _asked(self, peer: Peer, kind: str, body: dict[str, Any]) -> Answer:
        """As any other command, in the name of that user number. Raises StoreError."""
        named = {**body, "uid": peer.uid}
        number = await asyncio.to_thread(append_command, self.paths.db, kind, peer.name, named)
        end = time.monotonic() + ANSWER_S - LINE_S
        # A thread is taken for a look alone: the engine has few.
        while (answer := await asyncio.to_thread(self._answer_to, number)) is None:
            if time.monotonic() > end:
                return Answer(False, f"the engine has not answered yet; the {kind} is in its queue")
            await asyncio.sleep(POLL_S)
        return answer

    def _answer_to(self, number: int) -> Answer | None:
        with contextlib.closing(RunReader(self.paths.db)) as log:
            return log.answer_to(number)


def peer_of(end: socket.socket) -> Peer:
    """Raises OSError, also for one of more than 256 groups."""
    _, uid, gid = _CREDENTIALS.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    told = end.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 1024)
    return Peer(uid, frozenset((gid, *struct.unpack(f"{len(told) // 4}I", told))))
