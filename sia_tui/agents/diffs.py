"""From the files an agent wants to the diff that is proposed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

_NO_NEWLINE = "\n\\ No newline at end of file\n"


def patch(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Unified diff of the files of `new`, as git applies it; files that only `old` has stay."""
    return "".join(_file(path, old.get(path), new[path]) for path in sorted(new))


def _file(path: str, before: str | None, after: str) -> str:
    head = "/dev/null" if before is None else f"a/{path}"
    lines = difflib.unified_diff(
        (before or "").splitlines(keepends=True), after.splitlines(keepends=True), head, f"b/{path}"
    )
    return "".join(line if line.endswith("\n") else line + _NO_NEWLINE for line in lines)
