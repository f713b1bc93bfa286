"""A model folder's tokenizer and chat template: prompts become token ids on this side of every backend that takes ids,
so that what is recorded is exactly what was asked."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from sia_tui.policy.rows import BackendError


class Tokenizer:
    """Read from the event loop; `plain` may be called from one other thread meanwhile."""

    def __init__(self, folder: str | Path) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._decoder = copy.deepcopy(self._tokenizer)
        self.eos: int | None = self._tokenizer.eos_token_id

    def encode_chat(self, messages: Sequence[Mapping[str, str]]) -> tuple[int, ...]:
        """Raises BackendError for messages that the model's template refuses."""
        try:
            return tuple(
                self._tokenizer.apply_chat_template(
                    [self._plain(m) for m in messages], add_generation_prompt=True, tokenize=True, return_dict=False
                )
            )
        except Exception as error:
            raise BackendError(f"the chat template refused the messages: {error}") from error

    def _plain(self, message: Mapping[str, str]) -> dict[str, str]:
        """Content cannot play a part of the template: a special token written out in it is broken by a word joiner."""
        content = message["content"]
        for token in self._tokenizer.all_special_tokens:
            content = content.replace(token, f"{token[:1]}\u2060{token[1:]}")
        return {**message, "content": content}

    def encode_text(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text)["input_ids"])

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids)))

    def plain(self, ids: Sequence[int]) -> str:
        """Without special tokens."""
        return str(self._decoder.decode(list(ids), skip_special_tokens=True))


def end_ids(*found: int | list[int] | None) -> frozenset[int]:
    """Every token that ends a completion, from what the model's and the tokenizer's configurations say."""
    ids: set[int] = set()
    for value in found:
        ids.update([value] if isinstance(value, int) else value or ())
    return frozenset(ids)
