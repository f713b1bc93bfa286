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
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sia_tui.config.sections import ShareConfig
from sia_tui.policy.sockets import opened
from sia_tui.store.asked import ANSWER_S, KINDS, MOST_BYTES, SOCKET
from sia_tui.store.reader import Answer, RunReader, append_command
from sia_tui.store.sharing import group_id
from sia_tui.store.workspace import RunPaths

AT_ONCE = 8
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
    """Listens for as long as the context is open, where the config names approvers. Raises StoreError."""
    if share.approvers is None:
        yield
        return
    ear = _Ear(paths, share.approvers, group_id(share.approvers))
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
    group: str
    gid: int
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            peer = peer_of(writer.get_extra_info("socket"))
            async with self.turns:
                answer = await self._answered(peer, reader)
            said = {"ok": answer.ok, "message": answer.message}
            writer.write(json.dumps(said).encode() + b"\n")
            await asyncio.wait_for(writer.drain(), LINE_S)
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _answered(self, peer: Peer, reader: asyncio.StreamReader) -> Answer:
        try:
            # Heard out in any case: a socket that is closed on words unread takes the answer with it.
            line = await asyncio.wait_for(reader.readline(), LINE_S)
            if self.gid not in peer.groups and peer.uid not in (0, os.geteuid()):
                return Answer(False, f"{peer.name} is not in the group {self.group}, whose members answer its gates")
            told = json.loads(line)
            kind, body = told["kind"], dict(told["body"])
        except (TimeoutError, ValueError, KeyError, TypeError):
            return Answer(False, "malformed command")
        if kind not in KINDS:
            return Answer(False, f"{kind} is for whoever owns the run; approvers may: {', '.join(KINDS)}")
        return await asyncio.to_thread(self._asked, peer, kind, body)

    def _asked(self, peer: Peer, kind: str, body: dict[str, Any]) -> Answer:
        """As any other command, in the name of that user number. Blocking."""
        number = append_command(self.paths.db, kind, peer.name, {**body, "uid": peer.uid})
        end = time.monotonic() + ANSWER_S - LINE_S
        with contextlib.closing(RunReader(self.paths.db)) as log:
            while (answer := log.answer_to(number)) is None:
                if time.monotonic() > end:
                    return Answer(False, f"the engine has not answered yet; the {kind} is in its queue")
                time.sleep(POLL_S)
        return answer


def peer_of(end: socket.socket) -> Peer:
    """Raises OSError, also for one of more than 256 groups."""
    _, uid, gid = _CREDENTIALS.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    told = end.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 1024)
    return Peer(uid, frozenset((gid, *struct.unpack(f"{len(told) // 4}I", told))))
