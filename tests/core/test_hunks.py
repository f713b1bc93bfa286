"""A patch's hunks, counted as difflib made them."""

from __future__ import annotations

import difflib

from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core.hunks import hunks

LINES = st.lists(st.sampled_from(["a", "b", "", "--- a/x.py", "+++ b/x.py", "@@ -1 +1 @@", "c"]), max_size=14)


@given(st.lists(st.tuples(LINES, LINES), min_size=1, max_size=3))
def test_every_hunk_is_found_with_its_lines(files: list[tuple[list[str], list[str]]]) -> None:
    patch, wanted = "", []
    for number, (old, new) in enumerate(files):
        name = f"f{number}.py"
        sides = [[f"{line}\n" for line in side] for side in (old, new)]
        patch += "".join(difflib.unified_diff(*sides, f"a/{name}", f"b/{name}", n=1))
        groups = difflib.SequenceMatcher(None, *sides).get_grouped_opcodes(1)
        for group in groups:
            changed = [(b - a, d - c) for tag, a, b, c, d in group if tag != "equal"]
            wanted.append((name, sum(d for _, d in changed), sum(b for b, _ in changed)))
    assert [(hunk.path, hunk.added, hunk.removed) for hunk in hunks(patch)] == wanted


def test_a_file_that_is_gone_keeps_its_name() -> None:
    (found,) = hunks("--- a/old.py\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-a\n-b\n")
    assert found.told == "old.py:0 +0 -2"
    assert hunks("") == ()
