"""What the engine and a node say to each other, besides the streams."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sia_tui
from sia_tui.harness.agent import Agent
from sia_tui.harness.launch import Limits
from sia_tui.harness.sandbox import Isolation
from sia_tui.harness.walls import Walls


@dataclass(frozen=True)
class Facts:
    """What a node is."""

    level: Isolation
    why_not: str = ""
    """It cannot be used."""


@dataclass(frozen=True)
class Order:
    """A worker to start: folders by the names of their contents, and a token for each stream."""

    number: int
    harness: str
    rows: str
    tools: str
    packages: str | None
    """Of the harness' environment; None: the plain interpreter."""
    limits: Limits
    agent: Agent | None
    walls: Walls
    address: tuple[str, int]
    control: str
    lanes: tuple[str, ...]


@dataclass(frozen=True)
class Ending:
    """How a worker ended. `broken`: its streams did, which is not its doing."""

    words: str
    broken: bool


@cache
def code() -> str:
    """Digest of what runs on a node: both sides have to be of one version."""
    root = Path(sia_tui.__file__).parent
    files = sorted(path for part in ("harness", "cluster") for path in (root / part).rglob("*.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:16]
