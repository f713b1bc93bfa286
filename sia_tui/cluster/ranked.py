"""One process of a training that is several: run by Ray Train on whichever node, in a folder of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sia_tui.cluster.contents import Shelf
from sia_tui.cluster.desk import OUT, Files, kept, read, write
from sia_tui.core.room import DiskFull
from sia_tui.weights.pipe import Pipe
from sia_tui.weights.protocol import Full, Job
from sia_tui.weights.trainer import QUIET, ended


def work(told: dict[str, Any]) -> None:
    """`told`: the `job` and the `desk`. Raises whatever breaks the training, and with it the whole group."""
    import ray
    import ray.train

    os.environ.update(QUIET)
    job, desk = told["job"], told["desk"]
    rank = ray.train.get_context().get_world_rank()
    shelf = Shelf()
    shelf.tidy()
    folder = shelf.own("training-")
    try:
        mine = _laid(job, desk, folder)
        pipe = Pipe(_lines(desk), _Sent(desk, mine)) if rank == 0 else Pipe(None, None)
        end = ended(mine, pipe)
        if rank and isinstance(end, Full):
            # Nobody hears it from here, and the others wait for this one.
            raise DiskFull(end.reason)
        pipe.say(end)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _laid(job: Job, desk: Any, folder: Path) -> Job:
    """The job as it is carried out here, with all that it begins with."""
    for name, files in _asked(desk.left).items():
        write(files, folder / name)
    parent = job.parent and _or_sent(job.parent, folder / "parent", desk.parent)
    model = _or_sent(job.model, folder / "model", desk.model)
    changes = {"folder": folder, "out": folder / OUT, "parent": parent, "model": model, "device": _device()}
    return job.model_copy(update=changes)


def _or_sent(path: Path, instead: Path, ask: Any) -> Path:
    if path.is_dir():
        return path
    write(_asked(ask), instead)
    return instead


def _device() -> str:
    import ray

    return "cuda" if ray.get_gpu_ids() else "cpu"


class _Sent:
    """Where rank 0's lines go: to the desk, and before each what the training has laid in its folder since."""

    def __init__(self, desk: Any, job: Job) -> None:
        self._desk, self._job = desk, job
        self._known = set(kept(job.folder))
        self._full = False

    def write(self, line: bytes) -> None:
        """Raises DiskFull, once."""
        if not self._full:
            self._keep()
        _asked(self._desk.say, line)

    def flush(self) -> None:
        pass

    def _keep(self) -> None:
        there = set(kept(self._job.folder))
        new: dict[str, Files] = {name: read(self._job.folder / name) for name in there - self._known}
        if self._job.out.is_dir():
            new[OUT] = read(self._job.out)
        if not new and there == self._known:
            return
        if reason := _asked(self._desk.keep, new, there):
            self._full = True
            raise DiskFull(reason)
        self._known = there


def _lines(desk: Any) -> Iterator[bytes]:
    while True:
        yield _asked(desk.told)


def _asked(method: Any, *arguments: Any) -> Any:
    import ray

    return ray.get(method.remote(*arguments))
