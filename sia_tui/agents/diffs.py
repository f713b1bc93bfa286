"""From the files an agent wants to the diff that is proposed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

_NO_NEWLINE = "\n\\ No newline at end of file\n"


def patch(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Unified diff, as git applies it: every file of `new` as it is there, every other one of `old` removed."""
    return "".join(_file(path, old.get(path), new.get(path)) for path in sorted({*old, *new}))


def _file(path: str, before: str | None, after: str | None) -> str:
    heads = ("/dev/null" if before is None else f"a/{path}", "/dev/null" if after is None else f"b/{path}")
    lines = difflib.unified_diff(
        (before or "").splitlines(keepends=True), (after or "").splitlines(keepends=True), *heads
    )
    return "".join(line if line.endswith("\n") else line + _NO_NEWLINE for line in lines)
