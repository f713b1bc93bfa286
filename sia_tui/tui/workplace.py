"""What the window may do beyond the run it shows: list the workspace's runs, open, begin, export, delete and compare them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from sia_tui.store.reader import Answer
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.tui.pieces import Laid

Ask = Callable[[str, Mapping[str, Any]], Answer]
"""Sends a command and waits for its answer."""


@dataclass(frozen=True)
class Access:
    """One run, and how to ask something of it. Both functions may block."""

    paths: RunPaths
    ask: Ask
    resume: Callable[[], Answer]
    """Starts an engine on it."""


@dataclass(frozen=True)
class Draft:
    """A run that a person wants to begin."""

    config: Path
    name: str = ""
    """Empty: the config's, numbered."""
    gate: Literal["ask", "auto"] | None = None
    """Who answers; None: as the config says."""
    overrides: tuple[str, ...] = ()
    """`a.b=value` each."""


class Workplace(Protocol):
    """All but `open` may block and are called in threads."""

    workspace: Workspace
    user: str

    def open(self, name: str) -> Access:
        """Raises StoreError."""

    def configs(self) -> Sequence[Path]:
        """Files that a run may be begun from."""

    def begin(self, draft: Draft) -> Answer:
        """Make the run and start its engine; the message is its name, or what is wrong."""

    def estimate(self, draft: Draft) -> Answer:
        """What one of its trainings takes on this machine, in a line, or why none can be carried out."""

    def branch(self, run: str, generation: int, name: str) -> Answer:
        """A new run that starts from a generation, with its engine; the message is its name, or what is wrong."""

    def export(self, run: str, generation: int, folder: str) -> Answer:
        """Write the patches that led to a generation into a new folder; the message says where, or what is wrong."""

    def delete(self, name: str) -> Answer: ...

    def compare(self, one: str, other: str) -> Laid:
        """What `sia-tui compare` prints. Raises StoreError."""
