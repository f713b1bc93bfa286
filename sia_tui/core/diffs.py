"""From the files that somebody wants to the diff that makes them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

_NO_NEWLINE = "\n\\ No newline at end of file\n"


def patch(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Unified diff, as git applies it: every file of `new` as it is there, every other one of `old` removed."""
    return "".join(_file(path, old.get(path), new.get(path)) for path in sorted({*old, *new}))


def _file(path: str, before: str | None, after: str | None) -> str:
    heads = ("/dev/null" if before is None else f"a/{path}", "/dev/null" if after is None else f"b/{path}")
    lines = difflib.unified_diff(lines_of(before or ""), lines_of(after or ""), *heads)
    return "".join(line if line.endswith("\n") else line + _NO_NEWLINE for line in lines)


def lines_of(text: str) -> list[str]:
    """By line feeds alone, which stay: what else may end a line is text to git."""
    lines = [f"{line}\n" for line in text.split("\n")]
    return [*lines[:-1], *([lines[-1][:-1]] if lines[-1] != "\n" else [])]
