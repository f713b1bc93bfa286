"""Any OpenAI-compatible server as a backend: chats go out as messages, and come back with what the server cares to say.

Its weights are not ours: it loads no adapter, and only the harness lever works on it. Token ids and logprobs are recorded
where the server gives them; the tokens it only counted are counted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from sia_tui.policy.outside import Lost, Outside, refused, said
from sia_tui.policy.rows import BackendError, Completion, Row
from sia_tui.policy.wire import Settings

log = logging.getLogger("sia.gateway")

CONTEXT = 32_768
"""Taken for the model's where the config says nothing; a prompt that does not fit is the server's to refuse."""
PATH = "/chat/completions"
FIRST_WAIT_S, LONGEST_WAIT_S, LEAST_S = 0.5, 20.0, 0.1
"""Pauses between two tries, and the least that a try is given."""
EXTRAS = {"logprobs": True, "return_token_ids": True}
"""Not every server knows them; one that refuses a request with them and takes it without is not asked for them again."""


class OnlyChat:
    """There is no tokenizer on this side."""

    def encode_chat(self, messages: Sequence[Mapping[str, str]]) -> tuple[int, ...]:
        return ()

    def encode_text(self, text: str) -> tuple[int, ...]:
        raise BackendError("a remote model is asked by /v1/chat/completions only")

    def decode(self, ids: Sequence[int]) -> str:
        raise BackendError("a remote model's token ids cannot be read here; leave logprobs and token ids out")


class Remote(Outside):
    """Made by `opened`."""

    vocabulary = 1
    adapters: Mapping[str, str] = {}

    def __init__(self, settings: Settings, http: Any) -> None:
        super().__init__(http, (settings.address or "").rstrip("/"), settings.max_queue)
        self.model_id = settings.name
        self.context = settings.context or CONTEXT
        self.text = OnlyChat()
        self._settings = settings
        self._extras = dict(EXTRAS)
        self._slots = asyncio.Semaphore(settings.max_batch)

    async def load_adapter(self, name: str, path: str) -> str:
        raise BackendError("a remote model's weights are not ours: it takes no adapter")

    async def unload_adapter(self, name: str) -> None:
        raise BackendError(f"adapter {name!r} is not loaded")

    async def sleep(self) -> None:
        """Its accelerators are not ours to release."""

    async def wake(self) -> None:
        pass

    async def _one(self, row: Row) -> Completion:
        async with self._slots:
            return read(await self._answer(self._body(row)))

    def _body(self, row: Row) -> dict[str, Any]:
        if row.ignore_eos or row.top_k:
            raise BackendError("a remote model knows neither ignore_eos nor top_k")
        body: dict[str, Any] = {
            "model": self.model_id,
            "messages": [dict(message) for message in row.messages],
            "max_tokens": row.max_tokens,
            "temperature": row.temperature,
            "top_p": row.top_p,
        }
        if row.stop:
            body["stop"] = list(row.stop)
        return body if row.seed is None else body | {"seed": row.seed_number >> 32}

    async def _answer(self, body: dict[str, Any]) -> Any:
        """Asks for ids and logprobs as long as the server has not refused them."""
        status, answer = await self._ask(body | self._extras)
        if status in (400, 422) and self._extras:
            status, answer = await self._ask(body)
            if status == 200:
                log.warning("%s gives neither token ids nor logprobs: texts alone are recorded", self._url)
                self._extras = {}
        if status != 200:
            raise refused(PATH, status, answer)
        return answer

    async def _ask(self, body: dict[str, Any]) -> tuple[int, Any]:
        """Again with growing waits while the server is overloaded or down, for `retry_s`; past it, it is lost, and so is one
        that has not answered by then: the episode could not wait for it either."""
        import aiohttp

        loop = asyncio.get_running_loop()
        began, wait_s, told, why = loop.time(), FIRST_WAIT_S, 0.0, ""
        while True:
            try:
                left = max(LEAST_S, began + self._settings.retry_s - loop.time())
                status, answer, headers = await self._post(PATH, body, min(left, self._settings.call_deadline_s))
                if status in (401, 403, 404):
                    await self.lose(f"{self._url} answers {status} {said(answer)}; {self._advice()}")
                told = retry_after(headers)
                if status == 200 and not complete(answer):
                    why = f"200, and no chat completion: {said(answer)[:100]}"
                elif status != 429 and status < 500:
                    return status, answer
                else:
                    why = f"{status} {said(answer)}"
            except (aiohttp.ClientError, OSError, ValueError) as error:
                why, told = (
                    str(error) or ("no answer" if isinstance(error, TimeoutError) else type(error).__name__),
                    0.0,
                )
            pause = max(told, wait_s * random.uniform(0.5, 1.0))
            if loop.time() + pause - began > self._settings.retry_s:
                await self.lose(f"{self._url} fails for {self._settings.retry_s:g} s: {why}")
            await asyncio.sleep(pause)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _advice(self) -> str:
        key = f"the key in ${self._settings.key_env}" if self._settings.key_env else "policy.key_env (no key is sent)"
        return f"check policy.address, policy.model and {key}"


def read(answer: Any) -> Completion:
    """Ids and logprobs only together and of one length: half a record would be trained on as a whole one."""
    choice, usage = answer["choices"][0], answer.get("usage") or {}
    ids = tuple(choice.get("token_ids") or ())
    logprobs = tuple(entry["logprob"] for entry in (choice.get("logprobs") or {}).get("content") or ())
    return Completion(
        ids=ids if len(ids) == len(logprobs) else (),
        logprobs=logprobs,
        text=choice["message"].get("content") or "",
        finish_reason="length" if choice.get("finish_reason") == "length" else "stop",
        prompt_ids=tuple(answer.get("prompt_token_ids") or ()),
        counted=(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)),
    )


def complete(answer: Any) -> bool:
    """What a broken proxy says with status 200 is nobody's answer."""
    try:
        found = read(answer)
        return isinstance(found.text, str) and all(isinstance(token, int) for token in (*found.ids, *found.prompt_ids))
    except (LookupError, TypeError, ValueError, AttributeError):
        return False


def retry_after(headers: Mapping[str, str]) -> float:
    with suppress(ValueError):
        return max(0.0, float(headers.get("Retry-After", 0)))
    return 0.0


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Remote]:
    """Raises Lost when the key that the config names is not in the environment."""
    import aiohttp

    headers = {}
    if settings.key_env is not None:
        if not (key := os.environ.get(settings.key_env)):
            raise Lost(f"no key in ${settings.key_env}: set it before starting, or name another in policy.key_env")
        headers["Authorization"] = f"Bearer {key}"
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as http:
        yield Remote(settings, http)
