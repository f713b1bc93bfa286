"""A Hugging Face model folder in this process: tokenizer, base model and its LoRA adapters in this process.

A batch under one adapter (or none) runs with that adapter active, which costs least; a batch under several runs with
PEFT's adapter per row. Adapters are never merged into the base: unmerging does not give back the same weights.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache

from sia_tui.policy.adapters import adapter_hash
from sia_tui.policy.decode import Batch
from sia_tui.policy.rows import BackendError, Completion, Row
from sia_tui.policy.tokenizer import Tokenizer, end_ids

BASE = "__base__"
"""PEFT's name for "no adapter" in a batch of several."""


class HF:
    """See `rows.Model` for which thread may call what."""

    def __init__(
        self,
        folder: str | Path,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        threads: int = 1,
        context: int | None = None,
        name: str | None = None,
    ) -> None:
        torch.set_num_threads(threads)
        self.model_id = name or Path(folder).name
        self.text = Tokenizer(folder)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), local_files_only=True)
        self._device = device
        self._model = model.to(device).eval().requires_grad_(False)
        if "logits_to_keep" not in inspect.signature(self._model.forward).parameters:
            raise BackendError(f"{type(self._model).__name__} computes logits of every prompt token; not supported")
        config = self._model.config.get_text_config(decoder=True)
        self.context: int = min(context or config.max_position_embeddings, config.max_position_embeddings)
        self.vocabulary: int = config.vocab_size
        self._end_ids = end_ids(self._model.generation_config.eos_token_id, self.text.eos)
        self._peft: Any = None
        self._hashes: dict[str, str] = {}

    @property
    def adapters(self) -> Mapping[str, str]:
        """Name and sha256 of what is loaded."""
        return dict(self._hashes)

    def load_adapter(self, name: str, path: str) -> str:
        """Returns the sha256 of the adapter's files. The same content under the same name is loaded once.

        Raises BackendError for a name that serves other content, and for a folder that PEFT cannot load.
        """
        try:
            digest = adapter_hash(Path(path))
        except OSError as error:
            raise BackendError(str(error)) from error
        if name in self._hashes:
            if self._hashes[name] != digest:
                raise BackendError(f"adapter {name!r} is loaded with other content; publish it under a new name")
            return digest
        try:
            self._load(name, path)
        except Exception as error:
            # Of a file that was cut short safetensors raises a kind of its own, of one that does not fit PEFT any.
            self._forget(name)
            raise BackendError(f"adapter {name!r} does not fit {self.model_id}: {one_line(error)}") from error
        self._hashes[name] = digest
        return digest

    def _load(self, name: str, path: str) -> None:
        """The first adapter makes PEFT's layers before its weights are read, so that a failing read can be undone."""
        from peft import LoraConfig, PeftConfig, PeftModel

        config = PeftConfig.from_pretrained(path)
        if not isinstance(config, LoraConfig) or config.use_dora or config.bias != "none" or config.modules_to_save:
            raise ValueError("only plain LoRA is served: no DoRA, no bias, no modules_to_save")
        config.inference_mode = True
        if self._peft is None:
            self._peft = PeftModel(self._model, config, adapter_name=name)
        self._peft.load_adapter(path, adapter_name=name, is_trainable=False)
        self._peft.eval()

    def unload_adapter(self, name: str) -> None:
        """Raises BackendError when no such adapter is loaded."""
        if self._hashes.pop(name, None) is None:
            raise BackendError(f"adapter {name!r} is not loaded")
        self._forget(name)

    def _forget(self, name: str) -> None:
        """Takes the adapter's weights out of the model, and PEFT's layers too when it was the last."""
        if self._peft is None:
            return
        if self._hashes:
            if name in self._peft.peft_config:
                self._peft.delete_adapter(name)
        else:
            self._model = self._peft.unload()
            self._peft = None

    def sleep(self) -> None:
        """The weights leave the accelerator's memory for the host's."""
        if self._device != "cpu":
            (self._peft or self._model).to("cpu")
            torch.cuda.empty_cache()

    def wake(self) -> None:
        if self._device != "cpu":
            (self._peft or self._model).to(self._device)

    def generate(
        self, rows: Sequence[Row], done: Callable[[int, Completion], None], cancelled: Callable[[int], bool]
    ) -> None:
        """Calls `done(i, completion)` as each row ends; asks `cancelled(i)` each step and drops the row when true.

        Raises BackendError for an adapter that is not loaded, and what torch raises when memory is short.
        """
        missing = {row.adapter for row in rows} - {None, *self._hashes}
        if missing:
            raise BackendError(f"adapter {missing.pop()!r} is not loaded")
        Batch(
            self._model,
            rows,
            cache=DynamicCache(config=self._model.config),
            hooks=self._hooks,
            end_ids=self._end_ids,
            text=self.text.plain,
            done=done,
            cancelled=cancelled,
        ).run()

    def _hooks(self, adapters: Sequence[str | None]) -> Any:
        if self._peft is None:
            return nullcontext()
        if len(set(adapters)) == 1:
            return self._one(adapters[0])
        return self._several(adapters)

    @contextmanager
    def _one(self, adapter: str | None) -> Iterator[None]:
        tuner = self._peft.base_model
        if adapter is None:
            tuner.disable_adapter_layers()
            try:
                yield
            finally:
                tuner.enable_adapter_layers()
        else:
            tuner.set_adapter(adapter, inference_mode=True)
            yield

    @contextmanager
    def _several(self, adapters: Sequence[str | None]) -> Iterator[None]:
        with self._peft.base_model._enable_peft_forward_hooks(adapter_names=[name or BASE for name in adapters]):
            yield


def one_line(error: BaseException, limit: int = 300) -> str:
    return " ".join(str(error).split())[:limit]
