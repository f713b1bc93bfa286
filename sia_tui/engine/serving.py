"""The servers behind a gateway: how they do, as the newest reading, and what happens to them, as events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from sia_tui.core import events as ev
from sia_tui.core.replicas import Serving
from sia_tui.policy.client import Gateway, GatewayDied, GatewayError

EVERY_S = 1.0


class Watch:
    """Of one gateway. `newest` is empty where one server answers."""

    def __init__(self, gateway: Gateway, record: Callable[[ev.Event], None]) -> None:
        self._gateway, self._record = gateway, record
        self._seen = 0
        self.newest: tuple[Serving, ...] = ()

    async def look(self) -> None:
        """Raises GatewayDied, GatewayError."""
        health = await self._gateway.health()
        new = not self.newest
        self.newest = tuple(serving(one) for one in health.get("replicas", ()))
        if new and self.newest:
            self._record(ev.ReplicasServe(tuple(one.where for one in self.newest)))
        for happened in health.get("happened", ()):
            if happened["count"] > self._seen:
                self._seen = happened["count"]
                self._record(event_of(happened))

    async def run(self) -> NoReturn:
        """A gateway that died is noticed by whoever asks it something."""
        while True:
            with suppress(GatewayDied, GatewayError):
                await self.look()
            await asyncio.sleep(EVERY_S)


def serving(told: Mapping[str, Any]) -> Serving:
    return Serving(
        number=told["number"],
        where=told["where"],
        standing=told["standing"],
        requests=told["rows"],
        adapter=told["adapters"][-1] if told["adapters"] else None,
        tokens_per_second=told["tokens_per_second"],
    )


def event_of(happened: Mapping[str, Any]) -> ev.ReplicaOut | ev.ReplicaBack:
    about = (happened["replica"], happened["where"])
    if happened["back"]:
        return ev.ReplicaBack(*about, happened["left"])
    return ev.ReplicaOut(*about, happened["why"], happened["rows"], happened["left"])
