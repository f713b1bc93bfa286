"""What policy and machine did while a training made its steps: looked at every second, told as one number a step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from statistics import fmean
from typing import Any, Self

from sia_tui.core.machine import Usage
from sia_tui.policy.client import GatewayDied, GatewayError

EVERY_S = 1.0
GAUGES = {"running": "gateway/running", "queue_depth": "gateway/queue", "kv_cache": "kv_cache"}
"""Of the gateway's health, by the name of the curve."""

Health = Mapping[str, Any]


class Readings:
    """Between two calls of `take`. `health` answers None while there is nobody to ask."""

    def __init__(self, health: Callable[[], Awaitable[Health | None]], usage: Callable[[], Usage | None]) -> None:
        self._health, self._usage = health, usage
        self._values: dict[str, list[float]] = {}
        self._first: tuple[float, Health] | None = None
        self._last: tuple[float, Health] | None = None

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._looking.cancel()
        await asyncio.gather(self._looking, return_exceptions=True)

    async def look(self) -> None:
        """One reading."""
        if (usage := self._usage()) is not None:
            self._note(used(usage))
        if (health := await self._health()) is not None:
            self._note((curve, health[name]) for name, curve in GAUGES.items() if name in health)
            self._last = time.monotonic(), health
            self._first = self._first or self._last

    def take(self) -> dict[str, float]:
        """Means since the last call, of the cache the fullest; nothing of what nobody told."""
        found = {name: max(seen) if name == "kv_cache" else fmean(seen) for name, seen in self._values.items()}
        if self._first and self._last:
            found |= counted(*self._first, *self._last)
        self._values, self._first = {}, self._last
        return found

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            with suppress(GatewayDied, GatewayError):
                await self.look()

    def _note(self, values: Iterator[tuple[str, float]]) -> None:
        for name, value in values:
            self._values.setdefault(name, []).append(float(value))


def used(usage: Usage) -> Iterator[tuple[str, float]]:
    """Curves of the machine: what a driver does not tell has none."""
    if usage.cores is not None:
        yield "cores", usage.cores
    for role, gib in usage.rss_gib.items():
        yield f"rss_gib/{role}", gib
    for gpu in usage.gpus:
        told = {"busy": gpu.busy, "gib": gpu.used_gib, "watts": gpu.watts, "celsius": gpu.celsius}
        yield from ((f"gpu_{name}/{gpu.index}", value) for name, value in told.items() if value is not None)


def counted(since: float, before: Health, until: float, now: Health) -> dict[str, float]:
    """Of what only grows: tokens sampled a second, and the share of the prompts' tokens that the cache had. Nothing of a
    gateway that was started anew meanwhile."""
    grown = {
        name: now[name] - before[name]
        for name in ("completion_tokens", "prefix_queries", "prefix_hits")
        if name in now and name in before and now[name] >= before[name]
    }
    found = {}
    if until > since and "completion_tokens" in grown:
        found["gateway/tokens_s"] = grown["completion_tokens"] / (until - since)
    if grown.get("prefix_queries") and "prefix_hits" in grown:
        found["prefix_hits"] = grown["prefix_hits"] / grown["prefix_queries"]
    return found
