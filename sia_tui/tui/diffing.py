"""A unified diff as rows to show: kinds, line numbers, and which words of a line changed. Knows nothing of a terminal."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from diff_match_patch import diff_match_patch

from sia_tui.core.text import clean
from sia_tui.tui.pieces import cells

Kind = Literal["file", "hunk", "context", "add", "remove", "note"]
"""`note` is everything between hunks that is neither of the others (modes, renames, binary files) or that is no diff."""
Span = tuple[int, int]

TAB = 4
LONGEST = 2000
"""Characters of one line that are shown."""
_MARKED_LINES = 40
"""A change of more lines than this is a rewrite: its lines are not compared word by word."""
_ALIKE = 0.4
"""Two lines that share less than this are two lines, not one that was edited."""

_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_SILENT = re.compile(r"diff --git |index [0-9a-f]+\.\.[0-9a-f]+")
_WORD = re.compile(r"[A-Za-z0-9_]+|\s+|.", re.DOTALL)


@dataclass(frozen=True)
class Row:
    """One line of the diff as it stands in the file, without its leading sign."""

    kind: Kind
    text: str
    old: int | None = None
    new: int | None = None


@dataclass(frozen=True)
class Shown:
    """A line as it may be put on a screen: cleaned, tabs expanded, with the spans that changed."""

    text: str
    marks: tuple[Span, ...] = ()


@dataclass
class Diff:
    """The rows of a unified diff. Word marks are worked out when a row is looked at, so opening costs one pass."""

    rows: tuple[Row, ...] = ()
    _shown: dict[int, Shown] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.files = tuple(index for index, row in enumerate(self.rows) if row.kind == "file")
        self.hunks = tuple(index for index, row in enumerate(self.rows) if row.kind == "hunk")
        self.added = sum(row.kind == "add" for row in self.rows)
        self.removed = sum(row.kind == "remove" for row in self.rows)
        self.width = max((_width(row.text) for row in self.rows), default=0)
        """Cells of the widest row, at least."""
        self.cut = sum(len(row.text) > LONGEST for row in self.rows)
        """Rows of which only the beginning is shown."""
        self.last_line = max((max(row.old or 0, row.new or 0) for row in self.rows), default=0)

    def shown(self, index: int) -> Shown:
        if index not in self._shown:
            self._show_change(index)
        return self._shown[index]

    def _show_change(self, index: int) -> None:
        """Show the row, and with it the lines of the change it belongs to, which are marked together."""
        removed, added = self._change(index)
        for place in (index, *removed, *added):
            self._shown[place] = expand(self.rows[place].text)
        if not removed or not added or len(removed) + len(added) > _MARKED_LINES:
            return
        for old, new in _pairs([self.rows[at].text for at in removed], [self.rows[at].text for at in added]):
            before, after = self.rows[removed[old]].text, self.rows[added[new]].text
            marks_before, marks_after = changed_words(before, after)
            self._shown[removed[old]] = expand(before, marks_before)
            self._shown[added[new]] = expand(after, marks_after)

    def _change(self, index: int) -> tuple[range, range]:
        """The removed lines and the added lines after them that row `index` is one of."""
        kind = self.rows[index].kind
        if kind not in ("add", "remove"):
            return range(0), range(0)
        middle = self._end(index, -1, "add") + 1 if kind == "add" else self._end(index, 1, "remove")
        return range(self._end(middle, -1, "remove", skip=True) + 1, middle), range(middle, self._end(middle, 1, "add"))

    def _end(self, at: int, way: int, kind: Kind, skip: bool = False) -> int:
        """The first place from `at` on, going one way, where the rows are no longer of this kind."""
        at += way if skip else 0
        while 0 <= at < len(self.rows) and self.rows[at].kind == kind:
            at += way
        return at


def parse(text: str) -> Diff:
    """Rows of a unified diff. Never raises: what is no diff becomes notes, so that nothing is left out of sight."""
    return Diff(tuple(_rows(text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")))) if text else Diff()


@dataclass(frozen=True)
class File:
    """One file of a diff."""

    name: str
    added: int
    removed: int
    hunks: frozenset[int]
    """Their numbers in the diff, from 0."""


def files(diff: Diff) -> list[File]:
    return [_counted(diff, start, end) for start, end in itertools.pairwise([*diff.files, len(diff.rows)])]


def _counted(diff: Diff, start: int, end: int) -> File:
    kinds = [row.kind for row in diff.rows[start:end]]
    first, last = bisect_left(diff.hunks, start), bisect_left(diff.hunks, end)
    return File(diff.rows[start].text, kinds.count("add"), kinds.count("remove"), frozenset(range(first, last)))


def counts(diff: Diff) -> str:
    """Every file with what it gains and loses, on one line."""
    return " · ".join(f"{file.name} +{file.added} −{file.removed}" for file in files(diff))


def _rows(lines: Sequence[str]) -> Iterator[Row]:
    at = 0
    while at < len(lines):
        line = lines[at]
        following = lines[at + 1] if at + 1 < len(lines) else ""
        if line.startswith("--- ") and following.startswith("+++ "):
            yield Row("file", _file(line[4:], following[4:]))
            at += 2
        elif header := _HUNK.match(line):
            yield Row("hunk", line)
            at += 1
            for row in _hunk(lines, at, header):
                at += 1
                yield row
        else:
            if not _SILENT.match(line):
                yield Row("note", line)
            at += 1


def _hunk(lines: Sequence[str], at: int, header: re.Match[str]) -> Iterator[Row]:
    """As many lines as the header says. One row a line, so that the caller can count them."""
    old, new = int(header[1]), int(header[3])
    end_old = old + int(header[2] if header[2] is not None else 1)
    end_new = new + int(header[4] if header[4] is not None else 1)
    for line in (lines[place] for place in range(at, len(lines))):
        sign, body = line[:1], line[1:]
        if sign == "\\":
            yield Row("note", line)
        elif sign == "-" and old < end_old:
            yield Row("remove", body, old=old)
            old += 1
        elif sign == "+" and new < end_new:
            yield Row("add", body, new=new)
            new += 1
        elif sign in (" ", "") and old < end_old and new < end_new:
            yield Row("context", body, old, new)
            old, new = old + 1, new + 1
        else:
            return


def _file(old: str, new: str) -> str:
    before, after = _path(old, "a/"), _path(new, "b/")
    if before == "/dev/null":
        return f"{after} (new)"
    if after == "/dev/null":
        return f"{before} (deleted)"
    return after if before == after else f"{before} → {after}"


def _path(name: str, prefix: str) -> str:
    return name.split("\t", maxsplit=1)[0].rstrip("\r").removeprefix(prefix)


def _width(text: str) -> int:
    if text.replace("\t", "").isprintable():
        return cells(text[:LONGEST]) + (TAB - 1) * text.count("\t", 0, LONGEST) + (30 if len(text) > LONGEST else 0)
    return cells(expand(text).text)


def expand(text: str, marks: Sequence[Span] = ()) -> Shown:
    """`text` cleaned, tabs at their stops, cut to LONGEST; `marks` moved along with what they marked."""
    rest, text = len(text) - LONGEST, text[:LONGEST]
    tail = f"… {rest} more characters" if rest > 0 else ""
    if text.isprintable():
        return Shown(text + tail, tuple((a, min(b, len(text))) for a, b in marks if a < len(text)))
    parts: list[str] = []
    places, wide = [0], 0
    for char in text:
        part = " " * (TAB - wide % TAB) if char == "\t" else clean(char) if char != "\n" else "␊"
        parts.append(part)
        wide += len(part)
        places.append(wide)
    moved = ((places[min(a, len(text))], places[min(b, len(text))]) for a, b in marks)
    return Shown("".join(parts) + tail, tuple((a, b) for a, b in moved if a < b))


def _pairs(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Which removed line became which added one: in order, and only lines that are alike."""
    if len(old) == len(new):
        return [(at, at) for at in range(len(old)) if _likeness(old[at], new[at]) >= _ALIKE]
    pairs: list[tuple[int, int]] = []
    after = 0
    for at, line in enumerate(old):
        score, best = max(((_likeness(line, new[to]), -to) for to in range(after, len(new))), default=(0.0, 0))
        if score >= _ALIKE:
            pairs.append((at, -best))
            after = -best + 1
    return pairs


def _likeness(old: str, new: str) -> float:
    """Share of the words in common, by length: 1 for equal lines."""
    if max(len(old), len(new)) > LONGEST:
        return 0.0
    left, right = _WORD.findall(old.strip()), _WORD.findall(new.strip())
    common = sum(min(left.count(word), right.count(word)) * len(word) for word in set(left) if not word.isspace())
    total = sum(len(word) for word in (*left, *right) if not word.isspace())
    return 2 * common / total if total else 0.0


def changed_words(old: str, new: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The spans of `old` that went and the spans of `new` that came, on word boundaries."""
    codes: dict[str, str] = {}
    left, right = (_encode(_WORD.findall(text), codes) for text in (old, new))
    words = list(codes)
    engine = diff_match_patch()
    engine.Diff_Timeout = 0.05
    found = engine.diff_main(left, right, False)
    engine.diff_cleanupSemantic(found)
    gone: list[Span] = []
    came: list[Span] = []
    at_old = at_new = 0
    for kind, coded in found:
        length = sum(len(words[ord(code) - _FIRST]) for code in coded)
        if kind <= 0:
            gone += [(at_old, at_old + length)] if kind < 0 else []
            at_old += length
        if kind >= 0:
            came += [(at_new, at_new + length)] if kind > 0 else []
            at_new += length
    return tuple(gone), tuple(came)


_FIRST = 0xE000
"""Words are handed to the differ as single characters from here on, past the surrogates."""


def _encode(words: Sequence[str], codes: dict[str, str]) -> str:
    return "".join(codes.setdefault(word, chr(_FIRST + len(codes))) for word in words)
