"""What a building block is."""

from collections.abc import Callable
from dataclasses import dataclass

from sia_tui.agents.blocks.edits import Files


@dataclass(frozen=True)
class Block:
    """One idea for a harness, as a pure change of its files."""

    name: str
    title: str
    """One plain sentence: what it changes."""
    apply: Callable[[Files], dict[str, str] | None]
    """The changed files, or None when this harness offers no room for it."""
