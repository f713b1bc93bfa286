"""The gateway's wire: what callers may send, what they get back, and the OpenAI shape of an error.

Unknown fields are refused rather than ignored: a sampling parameter that does nothing would be a silent lie.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sia_tui.policy.rows import Completion

Finite = Annotated[float, Field(allow_inf_nan=False)]
M = TypeVar("M", bound=BaseModel)

MAX_CHOICES = 64


class Refused(Exception):
    """An answer other than 200, in the shape that OpenAI's clients read."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message

    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.kind, "param": None, "code": self.status}}


def bad_request(message: str) -> Refused:
    return Refused(400, "invalid_request_error", message)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Message(Strict):
    role: Literal["system", "user", "assistant", "tool"]
    content: str


class Request(Strict):
    """What chat and plain completions have in common."""

    model: str | None = None
    """Ignored: the lane decides which adapter answers."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """None: as many as the context and the lane's limits allow."""
    temperature: Annotated[Finite, Field(ge=0, le=100)] = 1.0
    top_p: Annotated[Finite, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=-1, le=2**31 - 1)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] = 1
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | Annotated[list[str], Field(max_length=8)] | None = None
    ignore_eos: bool = False
    return_token_ids: bool = False
    stream: Literal[False] | None = None
    user: str | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        found = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(stop for stop in found if stop)


class ChatRequest(Request):
    messages: Annotated[list[Message], Field(min_length=1, max_length=1000)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Literal[0] | None = None


class TextRequest(Request):
    prompt: str | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    logprobs: Annotated[int, Field(ge=0, le=1)] | None = None
    """Any number asks for the sampled tokens' own logprobs; alternatives are not computed."""
    echo: Literal[False] | None = None


class Sampling(Strict):
    temperature: Annotated[Finite, Field(ge=0.1, le=2)] = 1.0
    """While training: of what is sampled, and of the logprobs that are recorded."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Most tokens of one completion while training."""
    train: bool = False
    """Samples for training: temperature is as above, top_p 1, top_k is off and seeds are the lane's whatever the caller asks,
    so that the recorded logprobs are those of the distribution that was sampled from, and samples differ."""


class OpenLane(Strict):
    episode: Annotated[str, Field(min_length=1, max_length=200)]
    adapter: str | None = None
    sampling: Sampling = Sampling()
    max_calls: Annotated[int, Field(ge=1)] = 64
    """Completions, so that a request with n = 4 is four."""
    max_total_tokens: Annotated[int, Field(ge=1)] = 65536
    """Prompt and sampled tokens, the prompt counted once per completion."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """For requests that name no seed of their own: the n-th completion of the episode then repeats itself exactly."""
    seconds: Annotated[Finite, Field(gt=0)] | None = None
    """How long the episode may take."""


class CloseLane(Strict):
    wait_s: Annotated[Finite, Field(ge=0, le=600)] = 0.0
    """How long calls in flight may take to finish before they are cancelled."""


class LoadAdapter(Strict):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
    """No dots: adapters live in the model under their names, where a dot separates modules."""
    path: Annotated[str, Field(min_length=1)]


class VLLMSettings(BaseModel):
    """The vLLM server that the gateway starts; one at an address is started by hand, with the same flags."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    python: str | None = None
    """The interpreter that has vllm; None: this one."""
    adapters: Annotated[int, Field(ge=2)] = 4
    """Served side by side: at least staleness + 2, or vLLM silently evicts the oldest and reads it again."""
    rank: Annotated[int, Field(ge=1, le=512)] = 32
    """The largest of any adapter."""
    memory: Annotated[Finite, Field(gt=0, lt=1)] = 0.9
    """Share of a GPU's memory that weights and KV cache may take."""
    tensor_parallel: Annotated[int, Field(ge=1)] | None = None
    """GPUs over which every matrix is split; None: as many as the plan's serve_on names, else one."""
    arguments: tuple[str, ...] = ()
    """Further ones of its command line."""
    hang_s: Annotated[Finite, Field(gt=0)] = 120.0
    """Without a token, while it is asked for some, for this long: it hangs."""


class Door(Strict):
    """Where a server that another process holds is reached (`policy/door.py`)."""

    url: str
    token: str = Field(repr=False)
    where: str = ""
    """Its node, as people know it."""


class MoveReplica(Strict):
    """A server that another process holds was started anew, maybe elsewhere."""

    door: Door
    why: Annotated[str, Field(min_length=1)]


class Settings(Strict):
    """The gateway's configuration file."""

    model_dir: str
    """Weights and tokenizer; of a remote model nothing is read from it."""
    sockets: str
    """Folder of the sockets, made 0700; `lane-<i>.sock` and `admin.sock` appear in it once the model is loaded."""
    lanes: Annotated[int, Field(ge=1, le=1024)]
    threads: Annotated[int, Field(ge=1)] = 1
    """Torch's threads; more than there are idle cores costs a factor of ten or more."""
    max_batch: Annotated[int, Field(ge=1)] = 32
    window_s: Annotated[Finite, Field(ge=0)] = 0.008
    max_queue: Annotated[int, Field(ge=1)] = 1024
    backend: Literal["hf", "vllm", "remote"] = "hf"
    address: str | None = None
    """Of a server that runs already (vllm, remote)."""
    model: str | None = None
    """What it is called, by the remote server too; None: as its folder."""
    key_env: str | None = None
    """The environment variable with the remote server's key; the key itself is written nowhere."""
    retry_s: Annotated[Finite, Field(gt=0)] = 20.0
    """How long a remote server that is overloaded or down is asked again; less where the episode ends before."""
    vllm: VLLMSettings = VLLMSettings()
    replicas: Annotated[int, Field(ge=1, le=256)] = 1
    """Servers of vllm that are started, each on its share of `gpus`."""
    doors: tuple[Door, ...] = ()
    """Of servers that others hold, in place of started ones."""
    lag_s: Annotated[Finite, Field(gt=0)] = 30.0
    """An adapter may be so much later on one server than on another; then it goes on without."""
    ready_s: Annotated[Finite, Field(gt=0)] = 300.0
    """How long loading the model may take."""
    device: Literal["cpu", "cuda"] = "cpu"
    gpus: tuple[int, ...] = ()
    """Those that the gateway, and a server that it starts, may see; empty: all."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    context: Annotated[int, Field(ge=2)] | None = None
    """A limit under the model's own, in tokens."""
    call_deadline_s: Annotated[Finite, Field(gt=0)] = 300.0
    max_body_bytes: Annotated[int, Field(ge=1024)] = 4 * 2**20
    watch_stdin: bool = False
    """End when standard input ends, that is, with the process that started this one."""

    @property
    def several(self) -> bool:
        """Servers that answer as one, or one that another process holds."""
        return self.backend == "vllm" and (self.replicas > 1 or bool(self.doors))

    @property
    def name(self) -> str:
        return self.model or Path(self.model_dir).name


def parse(model: type[M], body: bytes) -> M:
    """Raises Refused (400) whose message names the first wrong field in one line."""
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise bad_request(f"{where}: {first['msg']}" if where else str(first["msg"])) from None


def usage(prompt_ids: Sequence[int], completions: Sequence[Completion]) -> dict[str, int]:
    prompt = len(prompt_ids) or max((c.counted[0] for c in completions), default=0)
    sampled = sum(len(c.ids) or c.counted[1] for c in completions)
    return {"prompt_tokens": prompt, "completion_tokens": sampled, "total_tokens": prompt + sampled}


def chat_response(
    model: str,
    request: ChatRequest,
    prompt_ids: Sequence[int],
    completions: Sequence[Completion],
    tokens: Sequence[Sequence[str]],
) -> dict[str, Any]:
    choices: list[dict[str, Any]] = []
    for i, completion in enumerate(completions):
        choice: dict[str, Any] = {
            "index": i,
            "message": {"role": "assistant", "content": completion.text},
            "finish_reason": completion.finish_reason,
            "logprobs": None,
        }
        if request.logprobs:
            pairs = zip(tokens[i], completion.logprobs, strict=True)
            choice["logprobs"] = {
                "content": [
                    {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": []}
                    for token, logprob in pairs
                ]
            }
        if request.return_token_ids:
            choice["token_ids"] = completion.ids
        choices.append(choice)
    response = envelope("chat.completion", "chatcmpl", model, choices, usage(prompt_ids, completions))
    if request.return_token_ids:
        response["prompt_token_ids"] = prompt_ids
    return response


def text_response(
    model: str,
    request: TextRequest,
    prompt_ids: Sequence[int],
    completions: Sequence[Completion],
    tokens: Sequence[Sequence[str]],
) -> dict[str, Any]:
    choices: list[dict[str, Any]] = []
    for i, completion in enumerate(completions):
        choice: dict[str, Any] = {
            "index": i,
            "text": completion.text,
            "finish_reason": completion.finish_reason,
            "logprobs": None,
        }
        if request.logprobs is not None:
            choice["logprobs"] = {
                "tokens": tokens[i],
                "token_logprobs": completion.logprobs,
                "top_logprobs": None,
                "text_offset": [],
            }
        if request.return_token_ids:
            choice |= {"prompt_token_ids": prompt_ids, "token_ids": completion.ids}
        choices.append(choice)
    return envelope("text_completion", "cmpl", model, choices, usage(prompt_ids, completions))


def envelope(kind: str, prefix: str, model: str, choices: Any, used: dict[str, int]) -> dict[str, Any]:
    return {
        "id": f"{prefix}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "choices": choices,
        "usage": used,
    }
