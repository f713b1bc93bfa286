"""Who starts harness workers, and how many at once: the seam between a run's episodes and the machines they run on."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from sia_tui.harness.launch import Child, Setup, spawn

Door = Callable[[], socket.socket]
"""Opens a connection to one lane of the gateway."""


class ClusterError(Exception):
    """There is nowhere to run; the message is one line that says what to do."""


class Executor(Protocol):
    @property
    def address(self) -> str | None:
        """Of the cluster, for other processes of this machine that join it; None: there is none."""

    reissue: float | None
    """How many times the median an episode may take before it is begun elsewhere too; None: there is no elsewhere."""

    def abreast(self, views: int) -> int:
        """How many workers side by side, where so many views are wanted."""

    def room(self) -> bool:
        """Whether one more would find a place of its own."""

    async def know(self, folder: Path) -> None:
        """Reads what will be brought to other machines, before anybody looks who opens it."""

    async def start(self, setup: Setup, lanes: Sequence[Door]) -> Child:
        """Starts a worker of these folders. Raises WorkerDied, WorkerLost, and ClusterError where no machine is left."""

    def busy(self) -> Mapping[str, int]:
        """Workers by node; empty where this machine is the only one."""

    def reissued(self, node: str, count: int, why: Literal["lost", "late"]) -> None:
        """So many episodes that were under way there were begun anew."""

    openings: int
    """How often a planted key is known to have been opened on other machines."""

    async def look(self) -> None:
        """Asks them: so far it may be known of workers that are gone alone."""


class Local:
    """On this machine."""

    address: str | None = None
    reissue: float | None = None
    openings = 0

    def abreast(self, views: int) -> int:
        return views

    def room(self) -> bool:
        return True

    async def know(self, folder: Path) -> None:
        pass

    async def start(self, setup: Setup, lanes: Sequence[Door]) -> Child:
        return await spawn(setup, "serve", [door() for door in lanes])

    def busy(self) -> Mapping[str, int]:
        return {}

    def reissued(self, node: str, count: int, why: Literal["lost", "late"]) -> None:
        raise AssertionError("nothing is lost or late but this machine itself")

    async def look(self) -> None:
        pass
