"""What a patch changes, hunk by hunk, as its own lines say."""

from __future__ import annotations

import re
from collections.abc import Sequence
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


@dataclass
class _Piece:
    """A hunk with its own lines, and how many lines of the two files these still owe."""

    path: str
    head: tuple[str, ...]
    """The lines that name its file."""
    lines: list[str]
    line: int
    old: int
    new: int
    added: int = 0
    removed: int = 0

    @property
    def whole(self) -> bool:
        return self.old <= 0 and self.new <= 0

    def takes(self, text: str) -> bool:
        return not self.whole or text.startswith("\\")

    def take(self, text: str) -> None:
        self.lines.append(text)
        mark = text[:1]
        if mark == "\\":
            return
        self.added, self.removed = self.added + (mark == "+"), self.removed + (mark == "-")
        self.old, self.new = self.old - (mark in " -" or not mark), self.new - (mark in " +" or not mark)


def hunks(patch: str) -> tuple[Hunk, ...]:
    """Those of a unified diff."""
    return tuple(Hunk(one.path, one.line, one.added, one.removed) for one in _pieces(patch) if one.whole)


def without(patch: str, number: int) -> str:
    """The patch less one of its hunks, and less the name of a file that it alone changed. Line numbers stay as they are:
    git finds the place by the lines around it."""
    left = [one for one in _pieces(patch) if one.whole]
    del left[number]
    lines, head = list[str](), tuple[str, ...]()
    for one in left:
        lines += [*(one.head if one.head != head else ()), *one.lines]
        head = one.head
    return "".join(f"{text}\n" for text in lines)


def _pieces(patch: str) -> Sequence[_Piece]:
    """Lines inside a hunk are counted, so that none of them passes for a file's name."""
    found, head, path = list[_Piece](), tuple[str, ...](), ""
    for text in patch.removesuffix("\n").split("\n"):
        if found and found[-1].takes(text):
            found[-1].take(text)
        elif at := _AT.match(text):
            found.append(_Piece(path, head, [text], int(at[2]), int(at[1] or 1), int(at[3] or 1)))
        elif text.startswith(("--- ", "+++ ")):
            name = text[4:].split("\t")[0].strip()
            head = (*head, text) if text.startswith("+++ ") else (*_named(head), text)
            path = path if name == "/dev/null" else re.sub(r"^[ab]/", "", name)
        elif text.startswith("diff "):
            head = (text,)
        elif head:
            head = (*head, text)
    return found


def _named(head: tuple[str, ...]) -> tuple[str, ...]:
    """What git says of a file before its two names; nothing where those are another file's."""
    return () if any(text.startswith("+++ ") for text in head) else head
