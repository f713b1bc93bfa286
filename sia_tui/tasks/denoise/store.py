"""The tissues of a workspace: made once from a key of its own, kept beside it, and opened one at a time.

Whoever has the key can make the held-out molecules again, so it is drawn where the workspace is, and never leaves it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sia_tui.core.episodes import Split
from sia_tui.tasks.denoise.simulator import RANGES, Tissue, make_tissue
from sia_tui.tasks.task import TaskError

KEY, OWN = "key", "own.json"
COUNTS: Mapping[Split, int] = {"train": 72, "dev": 24, "hidden": 24, "test": 24}
Progress = Callable[[str], None]


@dataclass(frozen=True)
class TissueStore:
    """Tissues by name, such as `dev-07`."""

    folder: Path

    def tissue(self, name: str) -> Tissue:
        """From its file, which is made where it is not there."""
        path = self.folder / f"{name}.npz"
        if not path.exists():
            self._make(name, path)
        with np.load(path, allow_pickle=False) as found:
            return Tissue(name, found["train"].astype(np.int64), found["test"].astype(np.int64))

    def facts(self, progress: Progress) -> Mapping[str, Mapping[str, str]]:
        """What a harness is told of each tissue: `cells`, `genes`, `depth` (molecules of a median cell), `zeros` (percent)."""
        path = self.folder / "facts.json"
        if not path.exists():
            names = [f"{split}-{index:02d}" for split, count in COUNTS.items() for index in range(count)]
            progress(f"making {len(names)} tissues, once")
            self.describe(names)
        told: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
        return told

    def describe(self, names: Sequence[str]) -> None:
        """Written last: a folder with facts is whole."""
        found = {name: _facts(self.tissue(name)) for name in names}
        _write(self.folder / "facts.json", json.dumps(found, indent=1).encode())

    def keep(self, tissue: Tissue) -> None:
        draft = self.folder / f".{tissue.name}.npz"
        with draft.open("wb") as file:
            np.savez_compressed(file, train=tissue.train.astype(np.uint32), test=tissue.test.astype(np.uint32))
        draft.replace(self.folder / f"{tissue.name}.npz")

    def _make(self, name: str, path: Path) -> None:
        if (self.folder / OWN).exists():
            raise TaskError(f"{path} is gone: remove {self.folder}, and it is cut from your files again")
        split, _, index = name.partition("-")
        known: dict[str, Split] = {one: one for one in COUNTS}
        made = make_tissue(known[split], int(index), (self.folder / KEY).read_bytes(), RANGES[known[split]])
        draft = path.with_name(f".{path.name}")
        with draft.open("wb") as file:
            np.savez_compressed(file, train=made.train.astype(np.uint16), test=made.test.astype(np.uint16))
        draft.replace(path)


def open_store(folder: Path) -> TissueStore:
    """The store in that folder; its key is drawn the first time."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / KEY).exists():
        _write(folder / KEY, secrets.token_bytes(32))
    return TissueStore(folder)


def key_hash(store: TissueStore) -> str:
    """sha256 (hex) of the key, which tells workspaces apart and gives nothing away."""
    return hashlib.sha256((store.folder / KEY).read_bytes()).hexdigest()


def _facts(tissue: Tissue) -> dict[str, str]:
    counts = tissue.train
    return {
        "cells": str(counts.shape[0]),
        "genes": str(counts.shape[1]),
        "depth": str(int(np.median(counts.sum(axis=1)))),
        "zeros": str(round(100 * float((counts == 0).mean()))),
    }


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
