"""Lengthen or shorten the list of candidates."""

from collections.abc import Callable
from functools import partial

from sia_tui.agents.blocks.block import Block
from sia_tui.agents.blocks.edits import Files, changed, constant


def narrower(size: int) -> Block:
    """Fewer candidates: each is likelier to be picked, but the right one is shown less often."""
    apply = partial(_apply, size, lambda now: not isinstance(now, int) or now <= size)
    return Block(f"narrower-{size}", f"Show only {size} candidates.", apply)


def wider(size: int) -> Block:
    """More candidates: the right one is shown more often, but there is more to choose from."""
    apply = partial(_apply, size, lambda now: not isinstance(now, int) or now >= size)
    return Block(f"wider-{size}", f"Show as many as {size} candidates.", apply)


def _apply(size: int, unless: Callable[[object], bool], files: Files) -> dict[str, str] | None:
    return changed(files, {"shortlist.py": constant("SIZE", str(size), unless)})
