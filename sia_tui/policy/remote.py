"""Any OpenAI-compatible server as a backend: chats go out as messages, and come back with what the server cares to say.

Its weights are not ours: it loads no adapter, and only the harness lever works on it. Token ids and logprobs are recorded
where the server gives them; the tokens it only counted are counted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from sia_tui.policy.outside import Lost, Outside, never, refused, said
from sia_tui.policy.rows import BackendError, Completion, Row, Trouble
from sia_tui.policy.wire import Settings

log = logging.getLogger("sia.gateway")

CONTEXT = 32_768
"""Taken for the model's where the config says nothing; a prompt that does not fit is the server's to refuse."""
PATH = "/chat/completions"
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 20.0
"""Pauses between two tries."""
REQUESTS_FAULT, OURS = (400, 413, 422), (401, 402, 403, 404)
"""Statuses that say something of the request, and of what the config names. After any other it is asked again."""
SHARE = 0.8
"""Of what is left of its episode a call may wait so much: the rest is for what the harness makes of it."""
SLOW = 2.0
"""A silence so many times as long as the slowest answer is not slowness."""
SILENT = "no answer"
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
        self._slowest_s = 0.0
        """Of its answers; 0 before the first."""
        self._first_asked: float | None = None

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
            # From here on: a row that waited for the others of its own harness says nothing of the server.
            patience_s = self._patience_s(row)
            self._first_asked = self._first_asked or time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    return read(await self._answer(row))
        return await self._given_up(row.trouble, patience_s)

    def _patience_s(self, row: Row) -> float:
        patience_s = self._settings.retry_s
        return patience_s if row.until is None else min(patience_s, SHARE * max(0.0, row.until - time.monotonic()))

    async def _given_up(self, trouble: Trouble, patience_s: float) -> NoReturn:
        """Lost is a server that had half of all that an episode could wait. With less, the call is left unanswered, and the
        episode is nobody's: unless the harness asked so late that even a sound server might not have answered."""
        if patience_s >= self._settings.retry_s / 2:
            await self.lose(f"{self._url} fails for {patience_s:.0f} s: {trouble.why or SILENT}")
        if self._is_silent(patience_s):
            trouble.why = trouble.why or SILENT
        await never()

    def _is_silent(self, patience_s: float) -> bool:
        """How slow it is nobody knows before its first answer: until it has had as long as a lost one, late callers were late."""
        if self._slowest_s:
            return patience_s > SLOW * self._slowest_s
        return time.monotonic() - (self._first_asked or 0.0) >= self._settings.retry_s / 2

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

    async def _answer(self, row: Row) -> Any:
        """Asks for ids and logprobs as long as the server has not refused them."""
        body = self._body(row)
        status, answer = await self._ask(body | self._extras, row.trouble)
        if status in (400, 422) and self._extras:
            status, answer = await self._ask(body, row.trouble)
            if status == 200:
                log.warning("%s gives neither token ids nor logprobs: texts alone are recorded", self._url)
                self._extras = {}
        if status != 200:
            raise refused(PATH, status, answer)
        return answer

    async def _ask(self, body: dict[str, Any], trouble: Trouble) -> tuple[int, Any]:
        """An answer, or the request's own fault; asked again with growing waits, for as long as nobody cuts it off."""
        wait_s = FIRST_WAIT_S
        while True:
            began = time.monotonic()
            status, answer, told_s = await self._try(body)
            if status in REQUESTS_FAULT:
                trouble.why = ""
            if status == 200 or status in REQUESTS_FAULT:
                self._slowest_s = max(self._slowest_s, time.monotonic() - began)
                return status, answer
            trouble.why = f"{status or ''} {said(answer)}".strip()
            if status in OURS:
                await self.lose(f"{self._url} answers {trouble.why}; {self._advice()}")
            if told_s > self._settings.retry_s:
                await self.lose(f"{self._url} asks to wait {told_s:.0f} s, longer than an episode could: {trouble.why}")
            await asyncio.sleep(max(told_s, wait_s * random.uniform(0.5, 1.0)))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _try(self, body: dict[str, Any]) -> tuple[int, Any, float]:
        """Status (0 for no answer, or none that is one), what was said, and the seconds to wait that the server asks for."""
        import aiohttp

        try:
            status, answer, headers = await self._post(PATH, body, None)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return 0, str(error) or (SILENT if isinstance(error, TimeoutError) else type(error).__name__), 0.0
        if status == 200 and not complete(answer):
            return 0, f"200, and no chat completion: {said(answer)[:100]}", 0.0
        return status, answer, retry_after(headers.get("Retry-After", ""))

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


def retry_after(told: str) -> float:
    """Seconds, or a date, as the header may have it; 0 for anything else."""
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(told).astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
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
