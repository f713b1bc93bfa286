"""What a patch changes, hunk by hunk, as its own lines say."""

from __future__ import annotations

import re
from dataclasses import dataclass

_AT = re.compile(r"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass(frozen=True)
class Hunk:
    path: str
    line: int
    """Of the new file."""
    added: int
    removed: int

    @property
    def told(self) -> str:
        return f"{self.path}:{self.line} +{self.added} -{self.removed}"


def hunks(patch: str) -> tuple[Hunk, ...]:
    """Those of a unified diff. Lines inside a hunk are counted, so that none of them passes for a file's name."""
    found, path, old, new = list[Hunk](), "", 0, 0
    line, added, removed = 0, 0, 0
    for text in patch.splitlines():
        if old > 0 or new > 0:
            mark = text[:1]
            added, removed = added + (mark == "+"), removed + (mark == "-")
            old, new = old - (mark in " -" or not mark), new - (mark in " +" or not mark)
            if old <= 0 and new <= 0:
                found.append(Hunk(path, line, added, removed))
        elif text.startswith(("--- ", "+++ ")):
            name = text[4:].split("\t")[0].strip()
            path = path if name == "/dev/null" else re.sub(r"^[ab]/", "", name)
        elif at := _AT.match(text):
            old, line, new = int(at[1] or 1), int(at[2]), int(at[3] or 1)
            added = removed = 0
    return tuple(found)
