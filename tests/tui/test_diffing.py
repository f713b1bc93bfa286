"""Diffs as rows: nothing is lost, nothing raises, marks lie where the words changed."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_tui.core.text import clean
from sia_tui.tui.diffing import TAB, Diff, changed_words, expand, parse

TEXT = st.text(st.sampled_from("ab \t\x1b\x9b\u202e盗窃-+@\\\r"), max_size=12)
LINES = st.lists(TEXT, max_size=12)

PATCH = """\
diff --git a/harness.py b/harness.py
index 1234567..89abcde 100644
--- a/harness.py
+++ b/harness.py
@@ -1,4 +1,4 @@ def solve
 one
--- two
-prompt = load("first.md")
+prompt = load("second.md")
+++ two
 three
"""


def unified(old: list[str], new: list[str], context: int = 3) -> str:
    return "".join(difflib.unified_diff([f"{x}\n" for x in old], [f"{x}\n" for x in new], "a/f", "b/f", n=context))


def test_rows_numbers_and_counts() -> None:
    diff = parse(PATCH)
    assert [(row.kind, row.old, row.new) for row in diff.rows] == [
        ("file", None, None),
        ("hunk", None, None),
        ("context", 1, 1),
        ("remove", 2, None),
        ("remove", 3, None),
        ("add", None, 2),
        ("add", None, 3),
        ("context", 4, 4),
    ]
    assert diff.rows[0].text == "harness.py" and (diff.added, diff.removed) == (2, 2)
    assert diff.rows[3].text == "-- two", "a removed line that looks like a header"


def test_the_words_that_changed_are_marked() -> None:
    diff = parse('--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n-prompt = load("first.md")\n+# why\n+prompt = load("second.md")\n')
    gone, came = diff.shown(2), diff.shown(4)
    assert [gone.text[a:b] for a, b in gone.marks] == ["first"]
    assert [came.text[a:b] for a, b in came.marks] == ["second"]
    assert diff.shown(3).marks == (), "a line without a counterpart is new as a whole"


def test_new_deleted_renamed_and_what_is_no_diff() -> None:
    assert parse("--- /dev/null\n+++ b/x.md\n@@ -0,0 +1 @@\n+x\n").rows[0].text == "x.md (new)"
    assert parse("--- a/x\n+++ /dev/null\n").rows[0].text == "x (deleted)"
    assert parse("--- a/x\n+++ b/y\n").rows[0].text == "x → y"
    assert [row.kind for row in parse("old mode 100644\nBinary files differ\n").rows] == ["note", "note"]
    assert parse("").rows == ()


def test_a_line_beyond_what_its_header_announced_is_still_shown() -> None:
    rows = parse("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n+smuggled\n").rows
    assert (rows[-1].kind, rows[-1].text) == ("note", "+smuggled")


@given(LINES, LINES)
def test_the_new_text_can_be_rebuilt(old: list[str], new: list[str]) -> None:
    diff = parse(unified(old, new, context=100))
    if old != new:
        assert [row.text for row in diff.rows if row.kind in ("context", "add")] == new
        assert [row.text for row in diff.rows if row.kind in ("context", "remove")] == old


@given(st.text(st.sampled_from("-+@ \\,019ab\n\t\x1b盗"), max_size=200) | st.text(max_size=200))
@settings(max_examples=300)
def test_garbage_never_raises_and_spans_lie_inside(text: str) -> None:
    look_at_all(parse(text))


@given(LINES, LINES)
def test_every_mark_lies_inside_its_text_and_no_control_character_is_left(old: list[str], new: list[str]) -> None:
    look_at_all(parse(unified(old, new)))


def look_at_all(diff: Diff) -> None:
    for index in range(len(diff.rows)):
        shown = diff.shown(index)
        assert clean(shown.text) == shown.text and "\t" not in shown.text and "\n" not in shown.text
        assert all(0 <= a < b <= len(shown.text) for a, b in shown.marks)


@given(TEXT, TEXT)
def test_what_is_not_marked_is_the_same_on_both_sides(old: str, new: str) -> None:
    gone, came = changed_words(old, new)
    assert unmarked(old, gone) == unmarked(new, came)


def unmarked(text: str, marks: tuple[tuple[int, int], ...]) -> str:
    return "".join(char for at, char in enumerate(text) if not any(a <= at < b for a, b in marks))


def test_marks_move_with_tabs_and_cleaned_characters() -> None:
    shown = expand("\ta\x1bb", [(3, 4)])
    assert shown.text == " " * TAB + "a␛b" and [shown.text[a:b] for a, b in shown.marks] == ["b"]


def test_a_line_of_a_megabyte_is_cut_and_said_so() -> None:
    diff = parse("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-" + "x y " * 250_000 + "\n+" + "x z " * 250_000 + "\n")
    assert diff.shown(2).text.endswith("more characters") and len(diff.shown(3).text) < 3000


@pytest.mark.parametrize("lines", [8000])
def test_eight_thousand_lines_open_at_once(lines: int) -> None:
    old = [f"def f{n}(a, b): return a + b * {n}" for n in range(lines)]
    new = [line.replace("a + b", "b + a") if n % 5 == 0 else line for n, line in enumerate(old)]
    text = unified(old, new)
    diff = parse(text)
    for index in range(50):
        diff.shown(index)
    assert len(diff.rows) > lines
