"""The gateway's own lanes and its admin socket, served in this process, before a policy that repeats what it is told."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sia_tui.engine.serving import MAX_BODY_BYTES
from sia_tui.policy import sockets
from sia_tui.policy.gateway import AdminApi, LaneApi, listen
from sia_tui.policy.lanes import Lane
from sia_tui.policy.rows import Completion, Row
from sia_tui.policy.wire import OpenLane

TERMS = OpenLane(episode="mine", max_calls=3, max_total_tokens=256)


class Echo:
    """A policy whose tokens are characters."""

    model_id, context, vocabulary = "tiny", 1_000_000, 0x110000
    adapters: Mapping[str, str] = {"other": "sha"}

    @property
    def text(self) -> Echo:
        return self

    def encode_chat(self, messages: Sequence[Mapping[str, str]]) -> tuple[int, ...]:
        return tuple(map(ord, messages[-1]["content"]))

    def encode_text(self, text: str) -> tuple[int, ...]:
        return tuple(map(ord, text))

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))

    async def complete(self, rows: Sequence[Row]) -> list[Completion]:
        return [Completion((1,), (0.0,), self.decode(row.prompt_ids), "stop") for row in rows]

    def load(self) -> dict[str, float]:
        return {}


@dataclass
class Slots:
    """Lane 0 is that of the attempts; on lane 1 another slot's episode is open all the while."""

    folder: Path
    lanes: list[Lane]

    @property
    def names(self) -> dict[str, str]:
        return {"other_lane": str(self.folder / sockets.lane_name(1)), "admin": str(self.folder / sockets.ADMIN)}

    def lane(self) -> socket.socket:
        return sockets.connect(self.folder, sockets.lane_name(0), 5.0)

    def open(self) -> None:
        self.lanes[0].open(TERMS)

    async def close(self) -> None:
        if self.lanes[0].session is not None:
            session = await self.lanes[0].close(0.0)
            assert len(session.calls) <= TERMS.max_calls and session.tokens <= TERMS.max_total_tokens

    def check(self) -> None:
        """Raises AssertionError where the other slot's episode has a call that it never made."""
        other = self.lanes[1].session
        assert other is not None and other.terms.episode == "others" and not other.calls and not other.asked


@asynccontextmanager
async def slots(folder: Path) -> AsyncIterator[Slots]:
    place = folder / "gateway"
    lock = sockets.private_folder(place)
    backend: Any = Echo()
    lanes = [Lane(index, backend, 10.0) for index in range(2)]
    lanes[1].open(OpenLane(episode="others"))
    runners = [await listen(AdminApi(lanes, backend).application(), place, sockets.ADMIN, cancel=False)]
    for lane in lanes:
        app = LaneApi(lane, backend).application(MAX_BODY_BYTES)
        runners.append(await listen(app, place, sockets.lane_name(lane.index), cancel=True))
    try:
        yield Slots(place, lanes)
    finally:
        for runner in runners:
            await runner.cleanup()
        os.close(lock)
