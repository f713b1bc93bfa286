"""The readers blocks add to a harness, and the order they are tried in."""

from typing import Final

from sia_tui.agents.blocks.edits import Edit, in_turn, listed, names_in, new_code

ORDER: Final = ("exact", "letter", "lettered", "named", "nearest")
"""Strictest first."""


def reader(name: str, code: str) -> Edit:
    """Add a reader to `answers.py`: its function and its place in READERS."""

    def edit(source: str) -> str | None:
        present = names_in(source, "READERS")
        later = ORDER[ORDER.index(name) + 1 :]
        before = next((known for known in present if known in later), "READERS")
        return in_turn(new_code(name, before, code), listed("READERS", name, ORDER))(source)

    return edit
