"""What is asked of a backend and what comes back: one row is one completion. Knows nothing of HTTP, lanes or torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from sia_tui.core.episodes import Call

FinishReason = Literal["stop", "length"]

GREEDY_BELOW = 1e-5
"""Temperatures under this are greedy: the scaled logits would overflow long before they mattered."""

TOLERANCE = {"float32": 1e-3, "float16": 0.02, "bfloat16": 0.1}
"""Nats by which two sides may differ in the logprob of one token, by what is served in. In float32 both add the same numbers
in another order. A half-precision server rounds every activation: to 11 bits, of bfloat16 to 8."""


@dataclass
class Trouble:
    """Of a row that is asked for."""

    why: str = ""
    """What keeps the server from answering it, or has kept it: what that does to the episode is neither the harness' nor the
    policy's."""


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
    tempered: bool = False
    """Logprobs are to be those of what was sampled from, at the row's temperature, in place of temperature 1."""
    messages: tuple[Mapping[str, str], ...] = ()
    """What the prompt says, for a backend that cannot be given token ids."""
    until: float | None = None
    """When its episode is over, by `time.monotonic`."""
    trouble: Trouble = field(default_factory=Trouble, compare=False)

    @property
    def greedy(self) -> bool:
        return self.temperature < GREEDY_BELOW

    @property
    def seed_number(self) -> int:
        """The seed for servers whose seeds are numbers, below 2**63."""
        return int.from_bytes(hashlib.sha256((self.seed or "").encode()).digest()[:8]) >> 1


@dataclass(frozen=True)
class Completion:
    """A finished row. `ids` holds every sampled token, the end-of-sequence token and those of a stop string included;
    `text` holds neither special tokens nor anything from the stop string on."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Natural log of each sampled token. hf: under the raw model, that is at temperature 1, without top_p and top_k.
    vllm: under what was sampled from, which is the same for greedy rows and for those of training at temperature 1."""
    text: str
    finish_reason: FinishReason
    prompt_ids: tuple[int, ...] = ()
    """How a remote server says it read the prompt."""
    counted: tuple[int, int] = (0, 0)
    """Prompt and sampled tokens by a remote server's count, which may be all that is known of them."""


class BackendError(Exception):
    """A request that this model cannot serve, said so that the caller can mend it."""


class QueueFull(Exception):
    """As many rows wait as may wait."""


class Text(Protocol):
    """How a model reads and writes. Raises BackendError for what it cannot read."""

    def encode_chat(self, messages: Sequence[Mapping[str, str]]) -> tuple[int, ...]: ...
    def encode_text(self, text: str) -> tuple[int, ...]: ...
    def decode(self, ids: Sequence[int]) -> str: ...


class Served(Protocol):
    """What is known of a model without asking it."""

    @property
    def model_id(self) -> str: ...
    @property
    def context(self) -> int: ...
    @property
    def vocabulary(self) -> int: ...
    @property
    def text(self) -> Text: ...
    @property
    def adapters(self) -> Mapping[str, str]:
        """Name and sha256 of those that are loaded."""


class Model(Served, Protocol):
    """A model in this process. Its methods run on one and the same worker thread; the rest is read from the event loop
    meanwhile."""

    def load_adapter(self, name: str, path: str) -> str: ...
    def unload_adapter(self, name: str) -> None: ...
    def generate(
        self, rows: Sequence[Row], done: Callable[[int, Completion], None], cancelled: Callable[[int], bool]
    ) -> None: ...
    def sleep(self) -> None: ...
    def wake(self) -> None: ...


class Backend(Served, Protocol):
    """What answers behind the gateway, called from its event loop."""

    async def complete(self, rows: Sequence[Row]) -> list[Completion]:
        """All rows or none; cancelling it cancels the rows. Raises QueueFull, BackendError."""

    async def load_adapter(self, name: str, path: str) -> str:
        """Returns the sha256 of what is loaded. Raises BackendError for a name that serves other content."""

    async def unload_adapter(self, name: str) -> None:
        """Raises BackendError when no such adapter is loaded."""

    async def sleep(self) -> None:
        """Give the accelerator's memory back; nothing is asked until `wake`."""

    async def wake(self) -> None: ...

    async def run(self) -> None:
        """Serves until cancelled; raises what stopped it."""

    def load(self) -> dict[str, Any]:
        """How busy it is and what it did so far, for `/health`."""


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
        unseen=data["unseen"],
    )
