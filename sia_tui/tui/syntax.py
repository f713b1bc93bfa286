"""Syntax colour of a diff: rows are lexed when they come into sight, each side as the file it is. Knows nothing of a terminal."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, Literal

from sia_tui.tui.beside import SIDED
from sia_tui.tui.diffing import Diff, expand

Kind = Literal["comment", "string", "number", "keyword", "name"]
Ink = tuple[int, int, Kind]
"""From where to where in a row, as it is shown, and what stands there."""

LANGUAGES = {
    ".py": "python", ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".sh": "bash", ".sql": "sql",
}  # fmt: skip
"""A patch names its files itself, and not every lexer takes hostile text in a bearable time (Markdown's does not)."""
LEAD = 40
"""Rows before the one looked at with which lexing begins after a jump: what encloses it mostly begins among them."""
STRETCH, TOKENS = 200, 8000
"""Rows that are one text at most, and what is told apart in it at most: much more than code has."""
READ = 500
"""Characters of a row that are lexed."""


class Syntax:
    """The inks of a diff's rows. Of a string that began before its hunk did nothing is known."""

    def __init__(self, diff: Diff) -> None:
        self._diff = diff
        self._edges = sorted((*diff.files, *diff.hunks, len(diff.rows)))
        self._inks: dict[int, tuple[Ink, ...]] = {}
        self._runs: dict[str, _Run] = {}
        """By side: where the next row goes on."""

    def inks(self, index: int) -> tuple[Ink, ...]:
        kind = self._diff.rows[index].kind
        if kind in SIDED and index not in self._inks:
            self._lex(index, "remove" if kind == "remove" else "add")
        return self._inks.get(index, ())

    def _lex(self, index: int, side: str) -> None:
        run = self._runs.get(side)
        if run is None or not run.leads_to(index):
            run = self._runs[side] = self._run(index, side)
        for row, inks in run.until(index):
            self._inks.setdefault(row, inks)

    def _run(self, index: int, side: str) -> _Run:
        """The rows of the hunk that are on this side, from a little before `index` on."""
        rows, at, file = self._diff.rows, bisect_left(self._edges, index), bisect_right(self._diff.files, index)
        first = max(self._edges[at - 1] + 1 if at else 0, index - LEAD)
        last = min(self._edges[at], first + STRETCH)
        taken = [row for row in range(first, last) if rows[row].kind in ("context", side)]
        text = "".join(f"{expand(rows[row].text).text[:READ]}\n" for row in taken)
        lexer = _lexer(_language(rows[self._diff.files[file - 1]].text if file else ""))
        return _Run(taken, _by_line(lexer, text) if lexer else iter(()))


class _Run:
    """Rows with their inks, lexed as far as they were asked for."""

    def __init__(self, rows: Sequence[int], inks: Iterator[tuple[Ink, ...]]) -> None:
        self._rows, self._inks, self._at = rows, inks, 0

    def leads_to(self, index: int) -> bool:
        """Whether the row is among those that come soon."""
        soon = self._rows[self._at : self._at + LEAD]
        return bool(soon) and soon[0] <= index <= soon[-1]

    def until(self, index: int) -> Iterator[tuple[int, tuple[Ink, ...]]]:
        while self._at < len(self._rows) and self._rows[self._at] <= index:
            self._at += 1
            yield self._rows[self._at - 1], next(self._inks, ())


def _by_line(lexer: Any, text: str) -> Iterator[tuple[Ink, ...]]:
    inks: list[Ink] = []
    begins = 0
    for place, token, value in islice(lexer.get_tokens_unprocessed(text), TOKENS):
        kind, at = _kind(token), place
        for number, part in enumerate(value.split("\n")):
            if number:
                yield tuple(inks)
                inks, begins = [], at
            if kind and part:
                inks.append((at - begins, at - begins + len(part), kind))
            at += len(part) + 1


def _language(file: str) -> str | None:
    """By what a row says of its file."""
    path = file.rpartition(" → ")[2].removesuffix(" (new)").removesuffix(" (deleted)")
    return LANGUAGES.get(PurePosixPath(path).suffix.lower())


@lru_cache
def _lexer(language: str | None) -> Any:
    from pygments.lexers import get_lexer_by_name

    if language is None:
        return None
    return get_lexer_by_name(language)


@lru_cache(maxsize=1024)
def _kind(token: Any) -> Kind | None:
    from pygments.token import Comment, Keyword, Literal, Name, Operator

    kinds: tuple[tuple[Kind, tuple[Any, ...]], ...] = (
        ("comment", (Comment,)),
        ("number", (Literal.Number, Keyword.Constant)),
        ("string", (Literal.String,)),
        ("keyword", (Keyword, Operator.Word, Name.Tag)),
        ("name", (Name.Function, Name.Class, Name.Decorator, Name.Builtin)),
    )
    return next((kind for kind, parents in kinds if any(token in parent for parent in parents)), None)
