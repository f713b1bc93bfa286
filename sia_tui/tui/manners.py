"""How the window behaves, as a person has set it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sia_tui.config.user import UiConfig

STEERING = frozenset({"approve", "reject", "defer", "go_back", "confirm", "pause", "end_training", "start", "begin"})
"""Actions that a window opened to read only does not do."""
READ_ONLY = "this window only reads: open it without --read-only to decide"


@dataclass(frozen=True)
class Manners:
    ui: UiConfig = field(default_factory=UiConfig)
    keys: Mapping[str, str] = field(default_factory=dict)
    """Binding ids and the keys they have instead."""
    themes: Path | None = None
    """Folder of a person's own."""
    read_only: bool = False
