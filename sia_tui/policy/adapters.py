"""LoRA adapters on disk, told apart by content."""

from __future__ import annotations

import hashlib
from pathlib import Path


def adapter_hash(folder: Path) -> str:
    """sha256 over the adapter's configuration and weights. Raises FileNotFoundError when the folder is no adapter."""
    digest = hashlib.sha256()
    for path in (folder / "adapter_config.json", folder / "adapter_model.safetensors"):
        if not path.is_file():
            raise FileNotFoundError(f"no adapter at {folder}: {path.name} is missing")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
