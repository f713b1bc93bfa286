"""Servers that answer as one policy: what happens to them, what is kept of each, and how they do at one moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from sia_tui.core.event import Event

ReplicaStatus = Literal["starting", "in", "behind", "out"]
"""`behind`: well, but without what the others serve yet. `out`: it is started again."""


@dataclass(frozen=True)
class ReplicasServe(Event):
    """So many servers were started, each in its place; nothing where there is only one."""

    where: tuple[str, ...]


@dataclass(frozen=True)
class ReplicaOut(Event):
    """It is asked nothing until it is back; what it was to answer the others were asked."""

    replica: int
    where: str
    why: str
    requests: int
    left: int
    """Replicas that answer."""


@dataclass(frozen=True)
class ReplicaBack(Event):
    """It has what the others serve, and says what they say."""

    replica: int
    where: str
    left: int


@dataclass(frozen=True)
class Replica:
    where: str = ""
    out: str = ""
    """Why; nothing while it answers."""
    lost: int = 0
    """How often it was taken out."""
    reissued: int = 0
    """Requests that the others were asked for it."""


Replicas = tuple[Replica, ...]


@dataclass(frozen=True)
class Serving:
    """A replica at one moment."""

    number: int
    where: str
    standing: ReplicaStatus
    requests: int
    """That it is to answer."""
    adapter: str | None
    """The newest that it has; None: the base alone."""
    tokens_per_second: float


def after(replicas: Replicas, event: ReplicasServe | ReplicaOut | ReplicaBack) -> Replicas:
    if isinstance(event, ReplicasServe):
        kept = (*replicas, *(Replica() for _ in event.where))[: len(event.where)]
        return tuple(replace(one, where=where, out="") for one, where in zip(kept, event.where, strict=True))
    known = (*replicas, *(Replica() for _ in range(event.replica + 1 - len(replicas))))
    was = known[event.replica]
    if isinstance(event, ReplicaOut):
        lost, reissued = was.lost + 1, was.reissued + event.requests
        now = replace(was, where=event.where, out=event.why, lost=lost, reissued=reissued)
    else:
        now = replace(was, where=event.where, out="")
    return (*known[: event.replica], now, *known[event.replica + 1 :])
