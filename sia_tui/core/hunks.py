"""What a patch changes, hunk by hunk, as its own lines say, and the patch that some of its hunks make."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from sia_tui.core.diffs import lines_of
from sia_tui.core.diffs import patch as diff
from sia_tui.core.hashing import digest

_AT = re.compile(r"(?P<left>@@ -(?P<was>\d+)(?:,(?P<old>\d+))? \+)(?P<line>\d+)(?:,(?P<new>\d+))? @@")


@dataclass(frozen=True)
class Hunk:
    path: str
    line: int
    """Of the new file."""
    added: int
    removed: int
    text: str = ""
    """With its header, as it stands in the patch."""

    @property
    def told(self) -> str:
        return f"{self.path}:{self.line} +{self.added} -{self.removed}"

    @property
    def changed(self) -> tuple[str, ...]:
        """The lines that it adds and takes away, with their signs."""
        return tuple(line for line in self.text.split("\n")[1:] if line[:1] in ("+", "-"))

    @property
    def was(self) -> int:
        """How many lines of the old file stand before it."""
        header = _AT.match(self.text)
        assert header is not None
        return int(header["was"]) - (header["old"] != "0")

    @property
    def digest(self) -> str:
        """Of its file and its changed lines, wherever they stand."""
        return digest([self.path, *self.changed])


@dataclass
class _File:
    head: str = ""
    """All that stands before its first hunk."""
    path: str = ""
    hunks: list[Hunk] = field(default_factory=list)


def hunks(patch: str) -> tuple[Hunk, ...]:
    """Those of a unified diff. Lines inside a hunk are counted, so that none of them passes for a file's name."""
    return tuple(hunk for file in _files(patch) for hunk in file.hunks)


@lru_cache(maxsize=256)
def digests(patch: str) -> frozenset[str]:
    """By which its hunks are known again."""
    return frozenset(hunk.digest for hunk in hunks(patch))


def partial(patch: str, taken: Collection[int]) -> str:
    """The patch of these hunks alone, numbered from 0: of all of them the same patch. Raises ValueError for none of them,
    or for one that there is not."""
    count = len(hunks(patch))
    if odd := [number for number in taken if not 0 <= number < count]:
        raise ValueError(f"there is no hunk {odd[0] + 1}: the patch has {count}")
    if not taken:
        raise ValueError("no hunk is taken: that is a no, not a patch")
    return patch if len(set(taken)) == count else "".join(_taken(patch, frozenset(taken)))


def without(patch: str, number: int) -> str:
    """The patch less one of its hunks; empty where there is no other."""
    left = [at for at in range(len(hunks(patch))) if at != number]
    return partial(patch, left) if left else ""


def lost(before: str, after: str) -> tuple[Hunk, ...]:
    """The hunks of one patch of which nothing is left in another; one that was edited is not among them."""
    there = Counter(hunk.digest for hunk in hunks(after))
    gone = []
    for hunk in hunks(before):
        if there[hunk.digest]:
            there[hunk.digest] -= 1
        else:
            gone.append(hunk)
    new = {(hunk.path, line.strip()) for hunk in fresh(before, after) for line in hunk.changed if line[1:].strip()}
    return tuple(hunk for hunk in gone if not new & {(hunk.path, line.strip()) for line in hunk.changed})


def fresh(before: str, after: str) -> tuple[Hunk, ...]:
    """The hunks of the second patch that the first one has not."""
    known = {hunk.digest for hunk in hunks(before)}
    return tuple(hunk for hunk in hunks(after) if hunk.digest not in known)


def patched(patch: str, path: str, before: str | None) -> str | None:
    """A file as the patch makes it; None where it is deleted. Raises ValueError where a line is not as the patch says."""
    of_it = [hunk for hunk in hunks(patch) if hunk.path == path]
    if any(file.path == path and re.search(r"^\+\+\+ /dev/null", file.head, re.MULTILINE) for file in _files(patch)):
        return None
    old, done, at = lines_of(before or ""), list[str](), 0
    for hunk in of_it:
        gone, came = sides(hunk)
        start = hunk.was
        if start < at or old[start : start + len(gone)] != gone:
            raise ValueError(f"{path} is not as the patch has it at line {start + 1}")
        done += [*old[at:start], *came]
        at = start + len(gone)
    return "".join([*done, *old[at:]])


def rewritten(patch: str, path: str, before: str | None, after: str | None) -> str:
    """The patch that makes `after` of a file, and of the others what it made."""
    sides = ({} if text is None else {path: text} for text in (before, after))
    new, said = diff(*sides), list[str]()
    for file in _files(patch):
        if file.path != path:
            said.append(file.head + "".join(hunk.text for hunk in file.hunks))
        elif new:
            said.append(new)
            new = ""
    return "".join([*said, new])


def sides(hunk: Hunk) -> tuple[list[str], list[str]]:
    """Its lines before and after."""
    found: tuple[list[str], list[str]] = ([], [])
    last = ""
    for line in lines_of(hunk.text)[1:]:
        if line.startswith("\\"):
            for side, signs in zip(found, ("- ", "+ "), strict=True):
                if last in signs:
                    side[-1] = side[-1].removesuffix("\n")
            continue
        last = line[:1] if line.strip("\r\n") or line[:1] in "+- " else " "
        body = line[1:] if line[:1] in "+- " else line
        for side, signs in zip(found, ("- ", "+ "), strict=True):
            if last in signs:
                side.append(body)
    return found


def _taken(patch: str, taken: frozenset[int]) -> Iterator[str]:
    number = 0
    for file in _files(patch):
        head, moved = file.head, 0
        if not file.hunks:
            yield head
        for hunk in file.hunks:
            if number in taken:
                yield head + _moved(hunk.text, moved)
                head = ""
            else:
                moved -= hunk.added - hunk.removed
            number += 1


def _moved(text: str, by: int) -> str:
    """A hunk whose lines stand so many lines further down in the new file."""
    at = _AT.match(text)
    assert at is not None
    return f"{at['left']}{int(at['line']) + by}{text[at.end('line') :]}"


def _files(patch: str) -> Iterator[_File]:
    """By line feeds alone: what else may end a line elsewhere is text here."""
    lines = lines_of(patch)
    file, at = _File(), 0
    while at < len(lines):
        header = _AT.match(lines[at])
        if header is None:
            if file.hunks:
                yield file
                file = _File()
            file.head += lines[at]
            file.path = _named(lines[at]) or file.path
            at += 1
            continue
        end = _end(lines, at + 1, int(header["old"] or 1), int(header["new"] or 1))
        signs = Counter(line[:1] for line in lines[at + 1 : end])
        file.hunks.append(Hunk(file.path, int(header["line"]), signs["+"], signs["-"], "".join(lines[at:end])))
        at = end
    if file.head or file.hunks:
        yield file


def _named(line: str) -> str | None:
    """The file that a line of a head names."""
    if not line.startswith(("--- ", "+++ ")):
        return None
    name = line[4:].split("\t", maxsplit=1)[0].strip()
    return None if name == "/dev/null" else re.sub(r"^[ab]/", "", name)


def _end(lines: list[str], at: int, old: int, new: int) -> int:
    """The first line after a hunk of so many old and new lines."""
    while at < len(lines) and (old > 0 or new > 0 or lines[at].startswith("\\")):
        sign = lines[at][:1]
        old, new = old - (sign in "- \r\n"), new - (sign in "+ \r\n")
        at += 1
    return at
