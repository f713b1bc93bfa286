"""What a training leaves on the disk is whole or not there: its name comes by a rename, a checkpoint's seal comes last.

Needs no torch: the engine publishes by it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sia_tui.core.room import DiskFull, no_room, unwritten

CHECKPOINTS, STEPS, SEAL = "checkpoints", "steps", "seal.json"
TRIES = 5


@contextmanager
def half_of(out: Path) -> Iterator[Path]:
    """A new folder to write what is to lie at `out`, which it replaces once that went well; else nothing is left of it."""
    half = out.with_name(f".{out.name}")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    try:
        yield half
        shutil.rmtree(out, ignore_errors=True)
        half.replace(out)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def copy(folder: Path, out: Path) -> None:
    """The files of `folder`, at `out`. Raises DiskFull."""
    with room_for(out.parent, lambda: sum(file.stat().st_size for file in folder.iterdir())), half_of(out) as half:
        shutil.copytree(folder, half, dirs_exist_ok=True)


@contextmanager
def room_for(where: Path, needed: Callable[[], int | None], clear: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Raises DiskFull in place of any error that says there is no room, once `clear` has freed what there was of it.

    `needed`: about as many bytes as were to be written, for people.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskFull) or not no_room(error):
            raise
        clear()
        raise DiskFull(unwritten(error, where, shutil.disk_usage(where).free, needed())) from error


def sealed(checkpoints: Path) -> list[Path]:
    """The whole ones, newest first."""
    return [checkpoint for checkpoint in by_step(checkpoints) if (checkpoint / SEAL).exists()]


def carry(training: Path, out: Path) -> bool:
    """Copy what a training would go on from to `out`: its newest whole checkpoint and the step adapters. A trainer may be
    at work: what it replaced meanwhile is copied again. False, and nothing there, where there is no checkpoint."""
    for _ in range(TRIES):
        whole = sealed(training / CHECKPOINTS)[:1]
        try:
            for folder in (*whole, *(training / STEPS).glob("v*")):
                shutil.copytree(folder, out / folder.relative_to(training))
        except (FileNotFoundError, shutil.Error):
            # Renamed or deleted while it was copied.
            pass
        else:
            # Step adapters are deleted only once another checkpoint is sealed.
            if whole and whole == sealed(training / CHECKPOINTS)[:1]:
                return True
        shutil.rmtree(out, ignore_errors=True)
        if not whole:
            return False
    return False


def drop_unsealed(checkpoints: Path) -> None:
    whole = sealed(checkpoints)
    for checkpoint in by_step(checkpoints):
        if checkpoint not in whole:
            shutil.rmtree(checkpoint, ignore_errors=True)


def by_step(checkpoints: Path) -> list[Path]:
    """All of them, newest first."""
    return sorted(checkpoints.glob("checkpoint-*"), key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    """Optimizer steps behind it."""
    return int(checkpoint.name.rpartition("-")[2])
