"""Shorten the list of candidates."""

from functools import partial

from sia_tui.agents.blocks.block import Block
from sia_tui.agents.blocks.edits import Files, changed, constant


def narrower(size: int) -> Block:
    """Fewer candidates: each is likelier to be picked, but the right one is shown less often."""
    return Block(f"narrower-{size}", f"Show only {size} candidates.", partial(_apply, size))


def _apply(size: int, files: Files) -> dict[str, str] | None:
    edit = constant("SIZE", str(size), unless=lambda now: not isinstance(now, int) or now <= size)
    return changed(files, {"shortlist.py": edit})
