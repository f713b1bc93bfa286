"""LoRA adapters on disk, told apart by content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sia_tui.pickles import pickles


def adapter_hash(folder: Path) -> str:
    """sha256 over the adapter's configuration and weights. Raises FileNotFoundError when the folder is no adapter, or holds
    beside safetensors what a loader might unpickle, that is, run."""
    digest = hashlib.sha256()
    if found := pickles(folder):
        raise FileNotFoundError(f"no adapter at {folder}: {found[0]} may hold code; only safetensors are read")
    for path in (folder / "adapter_config.json", folder / "adapter_model.safetensors"):
        if not path.is_file():
            raise FileNotFoundError(f"no adapter at {folder}: {path.name} is missing")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
