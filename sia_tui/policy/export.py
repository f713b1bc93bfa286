"""A policy in the layout that transformers, PEFT and vLLM read: an adapter's folder, or one model with it merged in.

Importing this costs neither torch nor peft.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from sia_tui.loading import quickly

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
VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as the largest rank it is to serve."""


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
    return next(size for size in VLLM_RANKS if size >= rank)


def write_adapter(adapter: Path, base: Path, out: Path) -> None:
    """The adapter with its tokenizer and with a configuration that names its base, into the folder `out`."""
    named = lora_config(adapter) | {"base_model_name_or_path": str(base.resolve())}
    (out / CONFIG).write_text(json.dumps(named, indent=1, sort_keys=True), encoding="utf-8")
    shutil.copyfile(adapter / WEIGHTS, out / WEIGHTS)
    _copy_tokenizer(base, out)


def write_merged(adapter: Path, base: Path, out: Path) -> None:
    """The base with the adapter added to its weights, in the base's own precision, into the folder `out`."""
    with quickly():
        from peft import PeftModel
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    load: Any = AutoModelForCausalLM.from_pretrained
    adapted: Any = PeftModel.from_pretrained(load(base, dtype="auto", local_files_only=True), str(adapter))
    adapted.merge_and_unload(safe_merge=True).save_pretrained(out)
    _copy_tokenizer(base, out)


def write_base(base: Path, out: Path) -> None:
    """The base as it is, into the folder `out`."""
    for path in base.iterdir():
        if path.is_file():
            shutil.copyfile(path, out / path.name)


def _copy_tokenizer(base: Path, out: Path) -> None:
    for name in TOKENIZER:
        if (base / name).is_file():
            shutil.copyfile(base / name, out / name)
