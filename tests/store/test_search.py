"""Searching trajectories: whatever stands in one is found by any part of it between two boundaries, in any script."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.store.browse import Browser, Wanted
from sia_tui.store.search import FILE, keep_up, match, tokens
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths
from tests.tui.runs import make_run

CJK = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=1, max_size=12)
WORD = st.text("abcdefXYZ019", min_size=1, max_size=8)


def found(text: str, query: str) -> bool:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("create virtual table texts using fts5(words, content='', tokenize='unicode61')")
        db.execute("insert into texts (rowid, words) values (1, ?)", [" ".join(tokens(text))])
        return bool(db.execute("select 1 from texts where words match ?", [match(query)]).fetchall())


@given(st.lists(st.one_of(CJK, WORD), min_size=1, max_size=6), st.data())
def test_any_part_of_a_chinese_run_and_any_beginning_of_a_word_is_found(parts: list[str], data: st.DataObject) -> None:
    part = data.draw(st.sampled_from(parts))
    start = 0 if part.isascii() else data.draw(st.integers(0, len(part) - 1))
    sought = part[start : data.draw(st.integers(start + 1, len(part)))]
    assert found(" ".join(parts), sought)


@given(CJK, CJK)
def test_what_does_not_stand_there_is_not_found(text: str, query: str) -> None:
    assert found(text, query) == (query in text)


@pytest.mark.parametrize("query", ["", "  ", '"', "*", '" OR words:x', "NEAR(a b)", "-", "a AND", '盗窃"罪', "\x00"])
def test_a_query_is_words_whatever_it_looks_like(query: str) -> None:
    assert match(query) == "" or found(query, query)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return make_run(tmp_path_factory.mktemp("runs") / "r", "training")


def numbers(paths: RunPaths, text: str, **wanted: object) -> list[int]:
    with closing(Browser(paths.db)) as browser:
        return list(browser.numbers(Wanted(text=text, **wanted)))  # type: ignore[arg-type]


def test_the_list_finds_what_stands_in_trajectories_once_they_are_indexed(training: RunPaths) -> None:
    before = numbers(training, "事实")
    assert before == []
    seen: list[tuple[int, int]] = []
    keep_up(training.db, lambda done, of: seen.append((done, of)) is None)
    everything = numbers(training, "", sealed=False)
    assert seen[-1] == (everything[-1], everything[-1]) and len(seen) > 2
    with closing(Browser(training.db)) as browser:
        rows = browser.rows(numbers(training, "事实"))
        assert rows and all(row.split in ("train", "dev") for row in rows.values()), "sealed rows stay sealed"
    assert set(numbers(training, "事实", sealed=False)) > set(rows)
    assert stat.S_IMODE((training.root / FILE).stat().st_mode) == 0o600
    again: list[int] = []
    keep_up(training.db, lambda done, of: again.append(done) is None)
    assert again == [everything[-1]], "nothing is indexed twice"


def test_indexing_ends_when_nobody_wants_it_and_goes_on_later(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "r", "training")
    keep_up(paths.db, lambda done, of: done == 0)
    with closing(sqlite3.connect(paths.root / FILE)) as index:
        [(upto,)] = index.execute("select upto from done")
    everything = numbers(paths, "", sealed=False)
    assert 0 < upto < everything[-1]
    keep_up(paths.db, lambda done, of: True)
    assert numbers(paths, "事实")


def test_an_index_that_is_damaged_takes_no_row_away(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "r", "training")
    keep_up(paths.db, lambda done, of: True)
    everything, shown = numbers(paths, ""), numbers(paths, "盗窃")
    for damaged in (b"no database at all " * 300, (paths.root / FILE).read_bytes()[:5000]):
        (paths.root / FILE).write_bytes(damaged)
        assert numbers(paths, "") == everything
        assert 0 < len(numbers(paths, "盗窃")) <= len(shown)
        with pytest.raises(StoreError, match="it may be deleted"):
            keep_up(paths.db, lambda done, of: True)
