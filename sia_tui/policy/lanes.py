"""A lane: one socket, and while an episode is open on it, that episode's adapter, limits and recorded calls.

Limits are reserved when a call is admitted and what it did not use is given back, so that calls side by side cannot
pass a limit together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sia_tui.core.episodes import Call
from sia_tui.policy.rows import Backend, Completion, QueueFull, Row
from sia_tui.policy.wire import OpenLane, Refused, Request, bad_request


@dataclass
class Session:
    """What is open on a lane. Handlers keep their own: a call never lands in the episode that came after."""

    terms: OpenLane
    calls: list[Call] = field(default_factory=list)
    completions: int = 0
    asked: int = 0
    """Completions ever asked for, cancelled ones too, so that no two share a seed."""
    tokens: int = 0
    in_flight: set[asyncio.Task[Any]] = field(default_factory=set)
    unanswered: str = ""
    delayed: str = ""
    """Why the server behind the backend left a call of it unanswered, or answered one late, if it did."""
    opened: float = field(default_factory=time.monotonic)

    @property
    def until(self) -> float | None:
        return None if self.terms.seconds is None else self.opened + self.terms.seconds

    def reserve(self, prompt: int, n: int, max_tokens: int) -> int:
        """Admits n completions; returns the tokens each may sample. Raises Refused (429)."""
        if self.completions + n > self.terms.max_calls:
            raise limit(f"max_calls: {self.completions} of {self.terms.max_calls} completions used, {n} asked")
        left = (self.terms.max_total_tokens - self.tokens) // n - prompt
        if left < 1:
            used, most = self.tokens, self.terms.max_total_tokens
            raise limit(f"max_total_tokens: {used} of {most} tokens used, prompt has {prompt} tokens, n is {n}")
        allowed = min(max_tokens, left)
        self.completions += n
        self.asked += n
        self.tokens += n * (prompt + allowed)
        return allowed


def limit(message: str) -> Refused:
    return Refused(429, "limit_exceeded", message)


class Lane:
    """Serves the completions of whoever holds the lane's socket."""

    def __init__(self, index: int, backend: Backend, deadline_s: float) -> None:
        self.index = index
        self._backend, self._deadline_s = backend, deadline_s
        self.session: Session | None = None

    @property
    def model_name(self) -> str:
        """What `/v1/models` and responses name: the adapter that answers, or the base model."""
        adapter = self.session.terms.adapter if self.session else None
        return adapter or self._backend.model_id

    def open(self, terms: OpenLane) -> None:
        """Raises Refused: 409 when an episode is open, 404 when the adapter is not loaded."""
        if self.session is not None:
            raise Refused(409, "conflict", f"lane {self.index} is open for {self.session.terms.episode}")
        if terms.adapter is not None and terms.adapter not in self._backend.adapters:
            raise Refused(404, "not_found", f"adapter {terms.adapter!r} is not loaded")
        self.session = Session(terms)

    async def close(self, wait_s: float) -> Session:
        """Ends the episode: no new calls at once, those in flight get `wait_s` and are then cancelled.

        Raises Refused (409) when nothing is open.
        """
        session, self.session = self.current(), None
        tasks = set(session.in_flight)
        if tasks and wait_s > 0:
            await asyncio.wait(tasks, timeout=wait_s)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        return session

    def current(self) -> Session:
        if self.session is None:
            raise Refused(409, "conflict", f"no episode is open on lane {self.index}")
        return self.session

    async def complete(
        self, request: Request, messages: Sequence[dict[str, str]], prompt_ids: tuple[int, ...], wanted: int | None
    ) -> list[Completion]:
        """Samples `request.n` completions of at most `wanted` tokens and records them.

        Raises Refused: 400 (the prompt does not fit), 409 (closed meanwhile), 429 (a limit or a full queue), 504 (the
        deadline).
        """
        session = self.current()
        sampling = session.terms.sampling
        if sampling.train and sampling.max_tokens is not None:
            wanted = min(wanted or sampling.max_tokens, sampling.max_tokens)
        allowed = session.reserve(len(prompt_ids), request.n, self._clamp(prompt_ids, wanted))
        rows = make_rows(request, session, messages, prompt_ids, allowed)
        task = asyncio.ensure_future(self._sample(session, messages, rows))
        session.in_flight.add(task)
        task.add_done_callback(session.in_flight.discard)
        try:
            await asyncio.wait({task}, timeout=self._deadline_s)
            if not task.done():
                raise Refused(504, "timeout", f"no completion within {self._deadline_s:g} s")
            if task.cancelled():
                raise Refused(409, "conflict", f"the episode on lane {self.index} was closed")
            return task.result()
        except QueueFull as error:
            raise Refused(429, "overloaded", str(error)) from error
        finally:
            task.cancel()

    def _clamp(self, prompt_ids: tuple[int, ...], wanted: int | None) -> int:
        room = self._backend.context - len(prompt_ids)
        if room < 1:
            raise bad_request(f"prompt has {len(prompt_ids)} tokens, context is {self._backend.context} tokens")
        if max(prompt_ids, default=0) >= self._backend.vocabulary:
            raise bad_request(f"token id {max(prompt_ids)} is outside the vocabulary of {self._backend.vocabulary}")
        return room if wanted is None else min(wanted, room)

    async def _sample(
        self, session: Session, messages: Sequence[dict[str, str]], rows: Sequence[Row]
    ) -> list[Completion]:
        start = time.monotonic()
        try:
            completions = await self._backend.complete(rows)
        except BaseException:
            session.unanswered = troubled(rows) or session.unanswered
            session.completions -= len(rows)
            session.tokens -= sum(len(row.prompt_ids) + row.max_tokens for row in rows)
            raise
        seconds = time.monotonic() - start
        session.delayed = troubled(rows) or session.delayed
        for row, completion in zip(rows, completions, strict=True):
            call = record(row, completion, messages, seconds)
            session.tokens += call.tokens - len(row.prompt_ids) - row.max_tokens
            session.calls.append(call)
        return completions


def troubled(rows: Sequence[Row]) -> str:
    return next((row.trouble.why for row in rows if row.trouble.why), "")


def make_rows(
    request: Request,
    session: Session,
    messages: Sequence[dict[str, str]],
    prompt_ids: tuple[int, ...],
    max_tokens: int,
) -> list[Row]:
    """One row per completion; `session` has them reserved already."""
    terms, sampling = session.terms, session.terms.sampling
    train = sampling.train
    seeds = [f"{request.seed}:{i}" for i in range(request.n)]
    if request.seed is None or train:
        first = session.asked - request.n
        seeds = [f"{terms.seed}/{first + i}" for i in range(request.n)]
    return [
        Row(
            prompt_ids=prompt_ids,
            max_tokens=max_tokens,
            temperature=sampling.temperature if train else request.temperature,
            top_p=1.0 if train else request.top_p,
            top_k=0 if train else max(request.top_k or 0, 0),
            seed=seed if terms.seed is not None or (request.seed is not None and not train) else None,
            stop=request.stops,
            adapter=terms.adapter,
            ignore_eos=request.ignore_eos,
            messages=tuple(messages),
            tempered=train,
            until=session.until,
        )
        for seed in seeds
    ]


def record(row: Row, completion: Completion, messages: Sequence[dict[str, str]], seconds: float) -> Call:
    prompt_ids = row.prompt_ids or completion.prompt_ids
    return Call(
        messages=tuple(messages),
        text=completion.text,
        prompt_ids=prompt_ids,
        completion_ids=completion.ids,
        logprobs=completion.logprobs,
        adapter=row.adapter,
        temperature=row.temperature,
        top_p=row.top_p,
        max_tokens=row.max_tokens,
        finish_reason=completion.finish_reason,
        seconds=seconds,
        unseen=max(0, sum(completion.counted) - len(prompt_ids) - len(completion.ids)),
    )
