"""A patch's hunks, counted as difflib made them."""

from __future__ import annotations

import difflib

from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core.hunks import hunks, without

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
    made = hunks(patch)
    assert [(hunk.path, hunk.added, hunk.removed) for hunk in made] == wanted
    for number in range(len(made)):
        assert hunks(without(patch, number)) == made[:number] + made[number + 1 :]


def test_a_file_that_is_gone_keeps_its_name() -> None:
    (found,) = hunks("--- a/old.py\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-a\n-b\n")
    assert found.told == "old.py:0 +0 -2"
    assert hunks("") == ()


def test_a_file_goes_with_its_only_hunk_and_keeps_what_git_said_of_it() -> None:
    new = "diff --git a/n.py b/n.py\nnew file mode 100644\n--- /dev/null\n+++ b/n.py\n@@ -0,0 +1 @@\n+a\n"
    last = "diff --git a/o.py b/o.py\n--- a/o.py\n+++ b/o.py\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n"
    assert (without(new + last, 0), without(new + last, 1), without(last, 0)) == (last, new, "")
