"""A base model's folder: found on this machine, checked, and told apart by what is in it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from sia_tui.core.hashing import digest

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
COUNTS = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors")
"""Files that decide what the model says: weights, configuration, tokenizer, chat template."""
BLOB = re.compile(r"[0-9a-f]{64}")


class ModelMissing(Exception):
    """No usable model goes by that name; in one line, with what to do."""


def find(name: str) -> Path:
    """The folder of that path, or of that hub id in the local Hugging Face cache.

    Downloads only where the environment says HF_HUB_OFFLINE=0. Raises ModelMissing.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = _cached(name)
    for needed in ("config.json", "tokenizer_config.json", *shards(folder)):
        if not (folder / needed).is_file():
            raise ModelMissing(f"policy.model {name}: {needed} is missing in {folder}; download the model again")
    return folder.resolve()


def shards(folder: Path) -> list[str]:
    """Names of the files that hold the weights."""
    index = folder / INDEX
    return sorted(set(json.loads(index.read_text())["weight_map"].values())) if index.is_file() else [SINGLE]


def _cached(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    online = os.environ.get("HF_HUB_OFFLINE") == "0"
    try:
        return Path(snapshot_download(name, local_files_only=not online, allow_patterns=list(COUNTS)))
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        if online:
            raise ModelMissing(f"policy.model {name}: {' '.join(str(error).split())[:200]}") from error
        raise ModelMissing(
            f"policy.model {name}: neither a folder nor a model in the local Hugging Face cache; "
            f"fetch it with: hf download {name} (or start once with HF_HUB_OFFLINE=0)"
        ) from None


def fingerprint(folder: Path) -> str:
    """Of names, sizes and times: as long as it stays the same, so does `sha256`, which may read for minutes."""
    return digest([str(folder), *((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files(folder))])


def sha256(folder: Path) -> str:
    """Over the digests of all that counts. A file of the hub's cache already has its own for a name."""
    return digest([(path.name, _file_digest(path)) for path in files(folder)])


def digest_file(folder: Path, store: Path) -> Path:
    """Where the digest of a folder as it now stands is kept, once it is known."""
    return store / f"base-{fingerprint(folder)[:16]}.sha256"


def remembered(folder: Path, store: Path, reading: Callable[[], None] = lambda: None) -> str:
    """`sha256`, kept in the folder `store` for as long as no file changes; `reading` is called before it is computed."""
    known = digest_file(folder, store)
    if not known.exists():
        reading()
        part = known.with_suffix(".part")
        part.write_text(sha256(folder))
        part.replace(known)
    return known.read_text()


def size(folder: Path) -> int:
    """Bytes of weights."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def files(folder: Path) -> list[Path]:
    return sorted({path for pattern in COUNTS for path in folder.glob(pattern) if path.is_file()})


def _file_digest(path: Path) -> str:
    real = path.resolve()
    if real.parent.name == "blobs" and BLOB.fullmatch(real.name):
        return real.name
    with real.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
