"""What is asked of a backend and what comes back: one row is one completion. Knows nothing of HTTP, lanes or torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from sia_tui.core.episodes import Call

FinishReason = Literal["stop", "length"]

GREEDY_BELOW = 1e-5
"""Temperatures under this are greedy: the scaled logits would overflow long before they mattered."""


@dataclass(frozen=True)
class Row:
    """One completion to be sampled."""

    prompt_ids: tuple[int, ...]
    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """0 keeps the whole vocabulary."""
    seed: str | None = None
    """Same seed, prompt, adapter and limits: same tokens, whatever else is in the batch (up to float rounding of the
    logits). None draws from the operating system's entropy."""
    stop: tuple[str, ...] = ()
    adapter: str | None = None
    ignore_eos: bool = False

    @property
    def greedy(self) -> bool:
        return self.temperature < GREEDY_BELOW


@dataclass(frozen=True)
class Completion:
    """A finished row. `ids` holds every sampled token, the end-of-sequence token and those of a stop string included;
    `text` holds neither special tokens nor anything from the stop string on."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Natural log of each sampled token under the raw model: temperature 1, no top_p, no top_k."""
    text: str
    finish_reason: FinishReason


class BackendError(Exception):
    """A request that this model cannot serve, said so that the caller can mend it."""


class Backend(Protocol):
    """A model behind the gateway. `generate`, `load_adapter` and `unload_adapter` run on one and the same worker
    thread; the rest is called from the event loop meanwhile."""

    @property
    def model_id(self) -> str: ...
    @property
    def context(self) -> int: ...
    @property
    def vocabulary(self) -> int: ...
    @property
    def adapters(self) -> Mapping[str, str]: ...
    def encode_chat(self, messages: Sequence[Mapping[str, str]]) -> tuple[int, ...]: ...
    def encode_text(self, text: str) -> tuple[int, ...]: ...
    def decode(self, ids: Sequence[int]) -> str: ...
    def load_adapter(self, name: str, path: str) -> str: ...
    def unload_adapter(self, name: str) -> None: ...
    def generate(
        self, rows: Sequence[Row], done: Callable[[int, Completion], None], cancelled: Callable[[int], bool]
    ) -> None: ...


def call_to_json(call: Call) -> dict[str, Any]:
    return asdict(call)


def call_from_json(data: Mapping[str, Any]) -> Call:
    """Raises KeyError or TypeError on a shape that is not a Call's."""
    return Call(
        messages=tuple(dict(m) for m in data["messages"]),
        text=data["text"],
        prompt_ids=tuple(data["prompt_ids"]),
        completion_ids=tuple(data["completion_ids"]),
        logprobs=tuple(data["logprobs"]),
        adapter=data["adapter"],
        temperature=data["temperature"],
        top_p=data["top_p"],
        max_tokens=data["max_tokens"],
        finish_reason=data["finish_reason"],
        seconds=data["seconds"],
    )
