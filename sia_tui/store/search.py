"""Full-text search through a run's trajectories, Chinese included.

SQLite's FTS5 finds words between spaces, which Chinese does not have: its runs of characters are indexed as
overlapping pairs, and looked for as a phrase of them, the usual way for CJK text. The index is a file of its own
beside run.db, made when it is first asked for and continued from there: the engine pays nothing for it.
"""

from __future__ import annotations

import json
import re
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from sia_tui.store.connection import Connection
from sia_tui.store.trajectories import plain
from sia_tui.store.version import StoreError

FILE = "search.db"
BATCH = 200
MOST_CHARACTERS = 20_000
"""Of one episode: a harness that floods its trajectory does not flood the index."""
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_PIECES = re.compile(rf"([{_CJK}]+)|([^\W{_CJK}]+)")


def tokens(text: str) -> list[str]:
    """What is indexed: words in lower case; of a run of CJK characters its overlapping pairs, and the last one alone, so
    that every single one begins a token."""
    found: list[str] = []
    for cjk, word in _PIECES.findall(text):
        found += [word.lower()] if word else [*_pairs(cjk), cjk[-1]]
    return found


def pieces(query: str) -> list[str]:
    """The words and the runs of CJK characters in it, each of which is looked for."""
    return [cjk or word for cjk, word in _PIECES.findall(query)]


def match(query: str) -> str:
    """What to ask FTS5 for: every word's beginning, and every run of CJK characters as a phrase of its pairs; "" where
    there is nothing to look for."""
    phrases = [[word.lower()] if word else _pairs(cjk) or [cjk] for cjk, word in _PIECES.findall(query)]
    return " AND ".join('"{}"'.format(" ".join(phrase)) + "*" for phrase in phrases)


def _pairs(cjk: str) -> list[str]:
    return [cjk[at : at + 2] for at in range(len(cjk) - 1)]


def words(body: bytes) -> str:
    """What is to be found of a stored trajectory: case, last prompt, replies, tools, answer, error and notes."""
    found = list(_said(json.loads(plain(body).decode("utf-8", "surrogatepass"))))
    return " ".join(tokens(" \n".join(found)[:MOST_CHARACTERS]))


def _said(told: dict[str, Any]) -> Iterator[str]:
    attempt, score = told["attempt"], told["score"]
    yield from map(str, attempt["case"]["inputs"].values())
    yield str(attempt["answer"] or "")
    yield from (call["text"] for call in attempt["calls"])
    for call in attempt["tool_calls"]:
        yield from (call["name"], call["arguments"], call["result"])
    if error := attempt["error"]:
        yield from (error["kind"], error["message"], error["traceback"])
    yield from (str(score["failure"] or ""), *map(str, score["detail"].values()))
    if attempt["calls"]:
        yield from (str(message.get("content", "")) for message in attempt["calls"][-1]["messages"])
    yield json.dumps(attempt["notes"], ensure_ascii=False)


class Unindexed(Connection):
    """The trajectories that an index does not have yet."""

    def after(self, row: int) -> list[tuple[int, bytes]]:
        query = "select e.rowid n, t.body from episodes e join trajectories t on t.episode = e.id"
        rows = self._rows(f"{query} where e.rowid > ? order by e.rowid limit {BATCH}", [row])
        return [(found["n"], found["body"]) for found in rows]

    def newest(self) -> int:
        return int(self._rows("select coalesce(max(rowid), 0) from episodes")[0][0])


def keep_up(db: Path, told: Callable[[int, int], bool]) -> None:
    """Index what is new. `told(done, of)` hears of every batch and may end it by saying False. Raises StoreError."""
    index = db.with_name(FILE)
    try:
        with closing(Unindexed(db)) as source, closing(_opened(index)) as made:
            newest = source.newest()
            while found := source.after(done := _done(made)):
                if not told(done, newest):
                    return
                with made:
                    made.execute("begin immediate")
                    # Another window may have been faster.
                    if _done(made) == done:
                        made.executemany("insert into texts (rowid, words) values (?, ?)", _rows(found))
                        made.execute("update done set upto = ?", [found[-1][0]])
            told(newest, newest)
    except OSError as error:
        said = f"{index}: cannot be written ({error.strerror}); only what its owner has indexed is searched"
        raise StoreError(said) from error
    except sqlite3.Error as error:
        raise StoreError(f"{index}: the search index cannot be written ({error}); it may be deleted") from error


def _rows(found: list[tuple[int, bytes]]) -> Iterator[tuple[int, str]]:
    return ((number, words(body)) for number, body in found)


def _opened(index: Path) -> sqlite3.Connection:
    # Of a shared run, whose group its folder passes on.
    shared = index.parent.stat().st_mode & stat.S_ISGID
    index.touch(mode=0o640 if shared else 0o600)
    made = sqlite3.connect(index, timeout=5.0, isolation_level=None)
    # It can be made again: a power cut may cost it.
    made.execute("pragma synchronous = off")
    made.execute("create virtual table if not exists texts using fts5(words, content='', tokenize='unicode61')")
    made.execute("create table if not exists done (upto integer)")
    made.execute("insert into done select 0 where not exists (select 1 from done)")
    return made


def _done(made: sqlite3.Connection) -> int:
    return int(made.execute("select upto from done").fetchone()[0])
