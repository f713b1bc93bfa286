"""A vLLM server as a backend: the one `vllm_server` starts, or one that runs at an address and reads the same disk.

Prompts are token ids made on this side. Every content of an adapter is served under a name of its own, so that neither
vLLM's prefix cache nor its cached requests can mix two; it is never loaded in place.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from operator import add
from pathlib import Path
from typing import Any

from sia_tui.policy import carrying, sockets, vllm_server
from sia_tui.policy.adapters import adapter_hash
from sia_tui.policy.outside import Lost, Outside, refused, said
from sia_tui.policy.rows import BackendError, Completion, FinishReason, Row
from sia_tui.policy.tokenizer import Tokenizer, end_ids
from sia_tui.policy.turns import Turns
from sia_tui.policy.vllm_server import Server
from sia_tui.policy.wire import Door, Settings

POLL_S = 1.0
POLL_ANSWER_S = 10.0
PROBE_TOKENS = 8
WOKEN_NATS = 0.05
"""How far a logprob of the greedy probe may be from what it was before sleep; bfloat16 in another batch differs so."""
LOADED = "already been loaded"
METRIC = re.compile(r"^vllm:(\w+)(?:\{.*\})? (\S+)$", re.MULTILINE)
"""A line of `/metrics`; of several engines behind one server each has its own."""
PROGRESS = ("prompt_tokens_total", "generation_tokens_total")
CACHE = {
    "kv_cache_usage_perc": "kv_cache",
    "prefix_cache_queries_total": "prefix_queries",
    "prefix_cache_hits_total": "prefix_hits",
    "num_requests_waiting": "queue_depth",
}
"""What is told of it by what name. Fractions from 0 to 1, tokens, tokens, requests (docs.vllm.ai, Metrics)."""
FULLEST = {name: max if name == "kv_cache" else add for name in CACHE.values()}


@dataclass(frozen=True)
class Adapter:
    sha256: str
    path: str
    served: str
    """vLLM's name of it."""


class VLLM(Outside):
    """Made by `opened`. `opening`: how often before this one its server was opened by this process."""

    def __init__(
        self,
        settings: Settings,
        base: Base,
        http: Any,
        url: str,
        server: Server | None,
        door: Door | None,
        opening: int,
    ) -> None:
        super().__init__(http, url, settings.max_queue)
        self.text, self.context, self.vocabulary = base.text, base.context, base.vocabulary
        self.model_id = settings.name
        self._served_base = self.model_id
        self._end_ids = sorted(base.end_ids)
        self._settings, self._server, self._door = settings, server, door
        self._adapters: dict[str, Adapter] = {}
        self._changing = asyncio.Lock()
        ours = server is not None or door is not None
        self._turns = Turns() if ours and settings.device == "cpu" else None
        """On CPUs a row without an adapter gets the last slot's beside a row that has one (vllm-project/vllm#48421)."""
        self._naps = opening
        self._before: dict[str | None, list[float]] = {}
        self._cache: dict[str, float] = {}

    def load(self) -> dict[str, Any]:
        return super().load() | self._cache

    @property
    def adapters(self) -> Mapping[str, str]:
        return {name: adapter.sha256 for name, adapter in self._adapters.items()}

    async def ready(self) -> None:
        """Raises Lost when it does not come up, or lacks what is needed of it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.ready_s):
                while (models := await self._get("/v1/models")) is None:
                    self._check_alive()
                    await self._check_door()
                    await asyncio.sleep(POLL_S / 4)
                base = next(model for model in models["data"] if not model.get("parent"))
                self._served_base, self.context = base["id"], min(self.context, base["max_model_len"])
                if await self._get("/is_paused") is None:
                    raise Lost(f"vllm at {self._url} cannot be paused: start it with VLLM_SERVER_DEV_MODE=1")
                if self._door is not None:
                    for left in (model["id"] for model in models["data"] if model.get("parent")):
                        await self._admin("/v1/unload_lora_adapter", {"lora_name": left})
                return
        raise Lost(f"vllm is not ready after {self._settings.ready_s:g} s; {self._reason()}")

    async def load_adapter(self, name: str, path: str) -> str:
        try:
            digest = await asyncio.to_thread(adapter_hash, Path(path))
        except OSError as error:
            raise BackendError(str(error)) from error
        async with self._changing:
            if name in self._adapters:
                if self._adapters[name].sha256 != digest:
                    raise BackendError(f"adapter {name!r} is loaded with other content; publish it under a new name")
                return digest
            adapter = Adapter(digest, path, self._named(name, digest))
            await self._load(adapter)
            self._adapters[name] = adapter
        return digest

    async def unload_adapter(self, name: str) -> None:
        async with self._changing:
            adapter = self._adapters.pop(name, None)
            if adapter is None:
                raise BackendError(f"adapter {name!r} is not loaded")
            await self._unload(adapter)

    async def sleep(self) -> None:
        """Level 1: the weights wait in the host's memory, the KV cache is dropped."""
        self._before = {name: await self.probe(name) for name in (None, *self._adapters)}
        await self._admin("/sleep?level=1")

    async def wake(self) -> None:
        """Adapters are read again, under new names, and must say what they said before; what does not is lost."""
        await self._admin("/wake_up")
        self._naps += 1
        for name, old in list(self._adapters.items()):
            new = replace(old, served=self._named(name, old.sha256))
            await self._load(new)
            self._adapters[name] = new
            await self._unload(old)
        for probed, before in self._before.items():
            if (gap := furthest(before, await self.probe(probed))) > WOKEN_NATS:
                await self.lose(f"{probed or 'the base'} answers otherwise than before vllm slept ({gap:.3f} nats)")

    async def run(self) -> None:
        watch = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({watch, self._lost}, return_when=asyncio.FIRST_COMPLETED)
            await (watch if watch.done() else self._lost)
        finally:
            watch.cancel()

    async def _watch(self) -> None:
        """Raises Lost when the process ended, or when nothing was sampled for `hang_s` though something was asked."""
        loop = asyncio.get_running_loop()
        alive, before = loop.time(), -1.0
        while True:
            await asyncio.sleep(POLL_S)
            self._check_alive()
            await self._get("/health")
            made = await self._progress()
            if made is not None and (self._running == 0 or made != before):
                alive, before = loop.time(), made
            if loop.time() - alive > self._settings.vllm.hang_s:
                raise Lost(f"vllm hangs: {self._running} requests and no token in {loop.time() - alive:.0f} s")

    async def _one(self, row: Row) -> Completion:
        path = "/v1/completions"
        async with self._turns.turn(row.adapter is not None) if self._turns else nullcontext():
            status, answer = await self._ask(path, self._body(row))
        if status != 200:
            raise refused(path, status, answer)
        choice = answer["choices"][0]
        logprobs = tuple(choice["logprobs"]["token_logprobs"])
        reason: FinishReason = "length" if choice["finish_reason"] == "length" else "stop"
        return Completion(tuple(choice["token_ids"]), logprobs, choice["text"], reason)

    def _body(self, row: Row) -> dict[str, Any]:
        """Everything that shapes the distribution is said, whatever the server's defaults are."""
        body: dict[str, Any] = {
            "model": self._served(row.adapter),
            "prompt": list(row.prompt_ids),
            "max_tokens": row.max_tokens,
            "temperature": 0.0 if row.greedy else row.temperature,
            "top_p": 1.0 if row.greedy else row.top_p,
            "top_k": row.top_k or -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "stop": list(row.stop),
            "stop_token_ids": [] if row.ignore_eos else self._end_ids,
            "ignore_eos": row.ignore_eos,
            "logprobs": 0,
            "return_token_ids": True,
        }
        return body if row.seed is None else body | {"seed": row.seed_number}

    def _served(self, adapter: str | None) -> str:
        if adapter is None:
            return self._served_base
        if adapter not in self._adapters:
            raise BackendError(f"adapter {adapter!r} is not loaded")
        return self._adapters[adapter].served

    async def _load(self, adapter: Adapter) -> None:
        """What is being sampled waits meanwhile, and goes on where it was. One that was loaded under that name is this one."""
        path, there = "/v1/load_lora_adapter", adapter.path
        if self._door is not None:
            there = await carrying.carried(self._http, self._url, adapter.sha256, Path(adapter.path))
        await self._admin("/pause?mode=keep")
        try:
            status, answer = await self._ask(path, {"lora_name": adapter.served, "lora_path": there}, admin=True)
            if status != 200 and LOADED not in said(answer):
                raise refused(path, status, answer)
        finally:
            await self._admin("/resume")

    async def _unload(self, adapter: Adapter) -> None:
        await self._admin("/v1/unload_lora_adapter", {"lora_name": adapter.served})

    def _named(self, name: str, sha256: str) -> str:
        return f"{name}-{sha256[:12]}-{self._naps}" if self._naps else f"{name}-{sha256[:12]}"

    async def probe(self, adapter: str | None) -> list[float]:
        """Logprobs of what it says greedily to a fixed prompt."""
        prompt = tuple(range(1, min(9, self.vocabulary, self.context - PROBE_TOKENS)))
        row = Row(prompt, PROBE_TOKENS, temperature=0.0, adapter=adapter, ignore_eos=True)
        return list((await self._one(row)).logprobs)

    async def _admin(self, path: str, body: Any = None) -> None:
        status, answer = await self._ask(path, body or {}, admin=True)
        if status != 200:
            raise refused(path, status, answer)

    async def _ask(self, path: str, body: Any, admin: bool = False) -> tuple[int, Any]:
        """A server that breaks off or fails is lost; only what it refuses comes back."""
        import aiohttp

        try:
            status, answer, _ = await (self._post(path, body) if admin else self._post(path, body, None))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            await asyncio.sleep(POLL_S)
            await self.lose(f"vllm does not answer {path} ({error or type(error).__name__}): {self._reason()}")
        if status >= 500 and not path.startswith("/v1/load"):
            await self.lose(f"vllm answers {path} with {status}: {self._reason()}; it says: {said(answer)}")
        if self._server is not None:
            self._server.well()
        return status, answer

    async def _get(self, path: str) -> Any:
        """None while it does not answer. Raises Lost when it says that its engine is dead."""
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=POLL_ANSWER_S)
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with self._http.get(f"{self._url}{path}", timeout=timeout) as response:
                if response.status == 503:
                    raise Lost(f"vllm's engine died: {self._reason()}")
                if response.status == 200:
                    json = "json" in response.headers.get("Content-Type", "")
                    return await (response.json() if json else response.text())
        return None

    async def _progress(self) -> float | None:
        """Tokens read and sampled since the server began; None when it does not say."""
        found = metrics(await self._get("/metrics") or "")
        self._cache = together([{CACHE[name]: value} for name in CACHE for value in found.get(name, ())])
        made = [value for name in PROGRESS for value in found.get(name, ())]
        return sum(made) if made else None

    def _check_alive(self) -> None:
        if self._server is not None and (ended := self._server.ended()):
            raise Lost(f"{ended}: {self._reason()}")

    async def _check_door(self) -> None:
        """It stands open before the server behind it is ready; one that does not answer is gone. Raises Lost."""
        import aiohttp

        if self._door is None:
            return
        try:
            async with self._http.get(f"{self._url}/health", timeout=aiohttp.ClientTimeout(total=POLL_ANSWER_S)):
                pass
        except (aiohttp.ClientError, OSError) as error:
            raise Lost(f"nobody answers at {self._url} ({error or type(error).__name__})") from error

    def _reason(self) -> str:
        return self._server.reason() if self._server is not None else f"it runs at {self._url}"


def furthest(one: Sequence[float], other: Sequence[float]) -> float:
    """Largest difference of two probes, in nats."""
    return max(abs(x - y) for x, y in zip(one, other, strict=True))


def metrics(text: str) -> dict[str, list[float]]:
    """The values of each measure, one an engine. What is no number is left out."""
    found: dict[str, list[float]] = {}
    for name, value in METRIC.findall(text):
        with suppress(ValueError):
            found.setdefault(name, []).append(float(value))
    return found


def together(several: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """What `CACHE` names, of several engines or servers: the fullest cache, else their sum."""
    found: dict[str, float] = {}
    for one in several:
        for name in FULLEST.keys() & one.keys():
            found[name] = FULLEST[name](found.get(name, 0.0), one[name])
    return found


@dataclass(frozen=True)
class Base:
    """What the model's folder says of it."""

    text: Tokenizer
    context: int
    vocabulary: int
    end_ids: frozenset[int]


def read_base(settings: Settings) -> Base:
    from transformers import AutoConfig, GenerationConfig

    folder = settings.model_dir
    text, config = Tokenizer(folder), AutoConfig.from_pretrained(folder, local_files_only=True)
    inner = config.get_text_config(decoder=True)
    context = min(settings.context or inner.max_position_embeddings, inner.max_position_embeddings)
    declared: Any = inner.eos_token_id
    with suppress(OSError):
        declared = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    return Base(text, context, inner.vocab_size, end_ids(declared, text.eos))


@asynccontextmanager
async def opened(
    settings: Settings, base: Base | None = None, door: Door | None = None, opening: int = 0
) -> AsyncIterator[VLLM]:
    """A server that is ready: behind a door, at an address, or started here. Raises Lost. Connections are not kept: one
    closed by the server in the moment of its use would look like the server's death."""
    import aiohttp

    async with AsyncExitStack() as stack:
        base, server = base or read_base(settings), None
        address = door.url if door is not None else settings.address
        url = (address or "http://vllm").rstrip("/").removesuffix("/v1")
        connector: aiohttp.BaseConnector = aiohttp.TCPConnector(limit=0, force_close=True)
        if address is None:
            short = stack.enter_context(sockets.opened(Path(settings.sockets)))
            server = await stack.enter_async_context(vllm_server.running(settings, base.context))
            connector = aiohttp.UnixConnector(f"{short}/{vllm_server.SOCKET}", limit=0, force_close=True)
        headers = {} if door is None else {"Authorization": f"Bearer {door.token}"}
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, headers=headers))
        backend = VLLM(settings, base, http, url, server, door, opening)
        await backend.ready()
        yield backend
