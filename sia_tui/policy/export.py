"""A policy in the layout that transformers, PEFT and vLLM read: an adapter's folder, or one model with it merged in.

Importing this costs no torch.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sia_tui.policy import base as models
from sia_tui.policy import merge
from sia_tui.policy.vllm_server import RANKS

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
)
"""What a tokenizer may consist of, by the names that transformers gives its files."""
TERMS = ("LICENSE*", "NOTICE*", "USAGE_POLICY*")
"""Files that go with a model wherever it goes."""


def weights_hash(folder: Path) -> str:
    """sha256 of a model's weights. Raises FileNotFoundError when they are not there in one file."""
    with (folder / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lora_config(adapter: Path) -> dict[str, Any]:
    """What PEFT's configuration of the adapter says."""
    return dict(json.loads((adapter / CONFIG).read_text(encoding="utf-8")))


def vllm_rank(adapter: Path) -> int:
    """The smallest `--max-lora-rank` under which vLLM serves the adapter."""
    rank = lora_config(adapter)["r"]
    return next(size for size in RANKS if size >= rank)


def write_adapter(adapter: Path, base: Path, called: str, out: Path) -> None:
    """The adapter with its tokenizer and with a configuration that names its base as `called`, into the folder `out`."""
    named = lora_config(adapter) | {"base_model_name_or_path": called}
    (out / CONFIG).write_text(json.dumps(named, indent=1, sort_keys=True), encoding="utf-8")
    shutil.copyfile(adapter / WEIGHTS, out / WEIGHTS)
    for name in TOKENIZER:
        if (base / name).is_file():
            shutil.copyfile(base / name, out / name)


def write_merged(adapter: Path, base: Path, out: Path) -> None:
    """The base with the adapter added to its weights, in the base's own files and precision, into the folder `out`.

    Raises CannotMerge, before anything is written.
    """
    config, weights = lora_config(adapter), adapter / WEIGHTS
    targets = merge.targets(weights, config, base)
    loaded = models.shards(base)
    _copy([path for path in _files(base) if path.suffix != ".safetensors" or path.name in loaded], out)
    merge.add(weights, config["lora_alpha"] / config["r"], targets, base, out)


def write_base(base: Path, out: Path) -> None:
    """The base as it is, as far as it counts, into the folder `out`."""
    _copy(_files(base), out)


def _files(base: Path) -> list[Path]:
    return [*models.files(base), *(path for pattern in TERMS for path in base.glob(pattern) if path.is_file())]


def _copy(paths: Iterable[Path], out: Path) -> None:
    for path in paths:
        shutil.copyfile(path, out / path.name)
