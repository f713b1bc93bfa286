"""A program as the harness: what it is, and whether it can be run here.

It starts processes and speaks HTTP over the sandbox's own loopback, so it takes a network namespace of its own: Landlock
alone would leave this machine's ports and sockets in reach.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from sia_tui.harness.sandbox import Isolation, Mount, SandboxUnavailable

PYTHON = ("python", "python3")
"""The harness environment's own interpreter, whatever it is called on this machine."""


class Agent(BaseModel):
    """Started in the harness' folder, once an episode."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: tuple[str, ...] = Field(min_length=1)
    """`python` is the harness' environment; any other first word a program of this machine."""
    programs: tuple[str, ...] = ()
    """Further programs of this machine that it starts, by name or path: each is one file that it may see and run."""

    @property
    def needed(self) -> tuple[str, ...]:
        first = self.command[0]
        return tuple(name for name in (first, *self.programs) if name not in PYTHON)


def mounts(agent: Agent) -> tuple[Mount, ...]:
    """The programs' files, at the paths under which they are found. Raises SandboxUnavailable for one that is not here."""
    found = []
    for name in agent.needed:
        path = shutil.which(name)
        if path is None:
            raise SandboxUnavailable(f"harness.agent needs {name}, which is not on this machine's PATH: install it")
        found.append(Mount(Path(path).resolve(strict=True), Path(path).absolute()))
    return tuple(found)


def require(agent: Agent, level: Isolation) -> None:
    """Raises SandboxUnavailable where such a harness cannot be confined, or cannot be started."""
    if level == "landlock":
        raise SandboxUnavailable(
            "harness.agent needs bubblewrap: a program that speaks HTTP is given a network of its own, and Landlock "
            "cannot; apt install bubblewrap (`sia-tui doctor` says what stands in its way)"
        )
    mounts(agent)
