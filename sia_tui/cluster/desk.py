"""Where a training's first process and the engine meet: an actor on the engine's node, with the training's folder there.

Its processes share no disk with the engine: what rank 0 makes is laid here, what each begins with is taken from here.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from sia_tui.core.room import DiskFull
from sia_tui.weights.protocol import Job
from sia_tui.weights.whole import CHECKPOINTS, half_of, room_for

Files = dict[str, bytes]
"""By path below their folder."""
Folders = dict[str, Files]
"""By path below the training's own folder; the chosen adapter's is OUT."""
OUT = "adapter"
LARGEST = 512 << 20
"""Bytes of a base model that is still sent to a node that lacks it."""


class NotThere(Exception):
    """A node lacks what is too large to be sent; the message is one line."""


def kept(folder: Path) -> Iterator[str]:
    """Of a training's folder, what another life of it goes on from."""
    for pattern in ("steps/v*", f"{CHECKPOINTS}/checkpoint-*"):
        yield from (path.relative_to(folder).as_posix() for path in sorted(folder.glob(pattern)))


def read(folder: Path) -> Files:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def write(files: Files, folder: Path) -> None:
    """Whole or not at all. Raises DiskFull."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with room_for(folder.parent, lambda: sum(map(len, files.values()))), half_of(folder) as half:
        for name, content in files.items():
            file = half / _inside(name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


class Desk:
    """Made an actor by whoever starts the training. A line goes to whoever asks for it first."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._said, self._told = asyncio.Queue[bytes](), asyncio.Queue[bytes]()

    async def say(self, line: bytes) -> None:
        await self._said.put(line)

    async def said(self) -> bytes:
        return await self._said.get()

    async def tell(self, line: bytes) -> None:
        await self._told.put(line)

    async def told(self) -> bytes:
        return await self._told.get()

    async def keep(self, new: Folders, there: Collection[str]) -> str:
        """Rank 0 holds what is `there`, of which `new` is not here yet. Returns why it cannot be written, or nothing."""
        try:
            for name, files in new.items():
                write(files, self._job.out if name == OUT else self._job.folder / _inside(name))
        except DiskFull as error:
            return str(error)
        for name in set(kept(self._job.folder)).difference(there):
            shutil.rmtree(self._job.folder / name, ignore_errors=True)
        return ""

    async def left(self) -> Folders:
        """What an earlier life of the training left."""
        return {name: read(self._job.folder / name) for name in kept(self._job.folder)}

    async def parent(self) -> Files:
        return read(self._job.parent) if self._job.parent else {}

    async def model(self) -> Files:
        """Raises NotThere."""
        if sum(file.stat().st_size for file in self._job.model.rglob("*") if file.is_file()) > LARGEST:
            raise NotThere(f"{self._job.model}: not on every node, and too large to be sent; put it there")
        return read(self._job.model)


def _inside(name: str) -> str:
    """Raises ValueError for a name that leads out of its folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name}: leads out of the training's folder")
    return name
