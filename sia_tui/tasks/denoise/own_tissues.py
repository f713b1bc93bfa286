"""One's own tissues: .h5ad files cut into cases, once, and put where made-up ones would stand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sia_tui.core.hashing import digest
from sia_tui.tasks.denoise.h5ad import read_pieces, tissue_of
from sia_tui.tasks.denoise.protocol import POISSON_FLOOR, vanishing_norm
from sia_tui.tasks.denoise.simulator import Tissue
from sia_tui.tasks.denoise.store import KEY, OWN, Progress, TissueStore, open_store
from sia_tui.tasks.task import TaskError

FEWEST = 12
"""Tissues, for four splits and folds."""
MOST = 400


@dataclass(frozen=True)
class Cut:
    """Which files, and how their cells become tissues."""

    files: tuple[Path, ...]
    layer: str | None = None
    by: str | None = None
    cells: int = 250


def folder_of(cut: Cut, root: Path) -> Path:
    """Below `root`, named by what the files hold and how they are cut. Raises TaskError."""
    try:
        contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in cut.files]
    except OSError as error:
        raise TaskError(f"task.tissues.files: {error.filename}: {error.strerror}") from error
    return root / f"denoise-{digest([contents, cut.layer, cut.by, cut.cells])[:12]}"


def fill(cut: Cut, folder: Path, progress: Progress) -> TissueStore:
    """The store in `folder`, whole: cut the first time. Raises TaskError."""
    store = open_store(folder)
    if (folder / "facts.json").exists():
        return store
    progress(f"cutting {', '.join(path.name for path in cut.files)} into tissues, once")
    (folder / OWN).write_text(json.dumps([path.name for path in cut.files]), encoding="utf-8")
    tissues, dropped = [], 0
    for tissue in _tissues(cut, (folder / KEY).read_bytes()):
        # Below the floor no answer could be paid.
        if vanishing_norm(tissue.train, tissue.test) < POISSON_FLOOR:
            dropped += 1
        else:
            tissues.append(tissue)
    said = f"; {dropped} more are so uneven that no answer could meet the Poisson rule" if dropped else ""
    if not FEWEST <= len(tissues) <= MOST:
        few = f"at least {FEWEST} are needed: more files or fewer cells each (task.tissues.cells)"
        most = f"at most {MOST} are taken: more cells each"
        raise TaskError(f"the files make {len(tissues)} tissues, {few if len(tissues) < FEWEST else most}{said}")
    if said:
        progress(f"{len(tissues)} tissues{said}")
    named = [replace(tissue, name=name) for tissue, name in zip(tissues, dealt(len(tissues)), strict=True)]
    for tissue in named:
        store.keep(tissue)
    store.describe([tissue.name for tissue in named])
    return store


def _tissues(cut: Cut, key: bytes) -> Iterator[Tissue]:
    for path in cut.files:
        for number, counts in enumerate(read_pieces(path, cut.layer, cut.by, cut.cells, _rng(key, path.name))):
            yield tissue_of(f"{path.name} piece {number + 1}", counts, _rng(key, f"{path.name}/{number}"))


def _rng(key: bytes, what: str) -> np.random.Generator:
    return np.random.default_rng(list(hashlib.blake2b(what.encode(), key=key[:64], digest_size=32).digest()))


def dealt(count: int) -> Sequence[str]:
    """A name for each tissue in turn: of every six, three are for train and one each for dev, hidden and test."""
    turn = ("train", "dev", "train", "hidden", "train", "test")
    seen = dict.fromkeys(turn, 0)
    names = []
    for at in range(count):
        split = turn[at % len(turn)]
        names.append(f"{split}-{seen[split]:02d}")
        seen[split] += 1
    return names
