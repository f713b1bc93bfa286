"""A patch's hunks, counted as difflib made them."""

from __future__ import annotations

import difflib
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sia_tui.core.hunks import fresh, hunks, lost, partial, patched, rewritten, without

LINES = st.lists(st.sampled_from(["a", "b", "", "--- a/x.py", "+++ b/x.py", "@@ -1 +1 @@", "c"]), max_size=14)


def test_a_file_that_is_gone_keeps_its_name() -> None:
    (found,) = hunks("--- a/old.py\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-a\n-b\n")
    assert found.told == "old.py:0 +0 -2"
    assert hunks("") == ()


LINE = st.sampled_from(["a", "b", "c", "", "d\r", "\x0c", "--- x", "+++ y", "@@ -1 +1 @@"])
EDIT = st.one_of(st.none(), st.none(), st.none(), st.none(), st.lists(LINE, max_size=3))
"""What stands in a line's place; None: the line itself."""


@st.composite
def edited(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """A file and what a few edits made of it."""
    old = [f"{number % 7} {draw(LINE)}" for number in range(draw(st.integers(0, 16)))]
    puts = [(was, draw(EDIT)) for was in old]
    new = [line for was, put in puts for line in ([was] if put is None else put)]
    return old, new if old else draw(st.lists(LINE, min_size=1, max_size=4))


NAMES = ("one.py", "two.md")


def sides(lines: list[str], ends: bool) -> list[str]:
    """As a file's lines, with a line feed at its end or without."""
    whole = [f"{line}\n" for line in lines]
    return whole if ends or not whole or whole[-1] == "\n" else [*whole[:-1], whole[-1][:-1]]


def diff(old: list[str], new: list[str], name: str) -> str:
    """As git writes it."""
    before, after = (f"a/{name}" if old else "/dev/null"), (f"b/{name}" if new else "/dev/null")
    lines = difflib.unified_diff(old, new, before, after, n=1)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def carried_out(old: list[str], new: list[str], taken: list[bool]) -> str:
    """The old file with the groups of changes that were taken."""
    done, at = list[str](), 0
    groups = difflib.SequenceMatcher(None, old, new).get_grouped_opcodes(1)
    for take, group in zip(taken, groups, strict=False):
        for tag, a, b, c, d in group:
            done += old[at:a] + (new[c:d] if take and tag != "equal" else old[a:b])
            at = b
    return "".join(done + old[at:])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(edited(), st.booleans(), st.booleans()), min_size=2, max_size=2), st.data())
def test_a_partial_patch_makes_the_same_files_as_its_hunks(
    files: list[tuple[tuple[list[str], list[str]], bool, bool]], data: st.DataObject
) -> None:
    pairs = [(sides(old, one), sides(new, other)) for (old, new), one, other in files]
    # git reads a patch's creation of an empty file from its own header alone.
    assume(all(old != new for old, new in pairs))
    patch = "".join(diff(old, new, name) for (old, new), name in zip(pairs, NAMES, strict=True))
    count = len(hunks(patch))
    taken = [number for number in range(count) if data.draw(st.booleans())]
    if not taken:
        with pytest.raises(ValueError, match="no hunk is taken"):
            partial(patch, taken)
        return
    made = partial(patch, taken)
    if len(taken) == count:
        assert made == patch
    assert [hunk.digest for hunk in hunks(made)] == [hunks(patch)[number].digest for number in taken]
    first = len([hunk for hunk in hunks(patch) if hunk.path == NAMES[0]])
    flags = [number in taken for number in range(count)]
    wanted = [carried_out(*pairs[0], flags[:first]), carried_out(*pairs[1], flags[first:])]
    for hunk in hunks(made):
        new_side = [line[1:] for line in hunk.text.split("\n")[1:] if line[:1] in ("+", " ")]
        stands = wanted[NAMES.index(hunk.path)].split("\n")[max(0, hunk.line - 1) :]
        assert not new_side or stands[: len(new_side)] == new_side, "where its header says"
    for (old, _), name, new in zip(pairs, NAMES, wanted, strict=True):
        before = "".join(old) if old else None
        there = patched(made, name, before)
        assert (there or "") == new, "as git makes it"
        again = rewritten(made, name, before, there)
        assert (patched(again, name, before) or "") == new and len(hunks(again)) <= len(taken)
    with TemporaryDirectory() as folder:
        for (old, _), name in zip(pairs, NAMES, strict=True):
            if old:
                Path(folder, name).write_bytes("".join(old).encode())
        command = ["git", "apply", "-v", "--unidiff-zero", "--whitespace=nowarn", "-"]
        told = subprocess.run(command, cwd=folder, input=made.encode(), capture_output=True, check=True).stderr
        assert b"offset" not in told
        found = [Path(folder, name) for name in NAMES]
        assert [path.read_bytes().decode() if path.exists() else "" for path in found] == wanted


def test_what_is_lost_is_told_from_what_was_edited() -> None:
    patch = diff(["a\n", "b\n", "c\n", "d\n", "e\n", "f\n"], ["A\n", "b\n", "c\n", "d\n", "e\n", "F\n", "G\n"], "x.py")
    whole = hunks(patch)
    assert [hunk.told for hunk in lost(patch, partial(patch, [1]))] == ["x.py:1 +1 -1"]
    assert lost(patch, patch) == () == fresh(patch, partial(patch, [0]))
    edited = patch.replace("+G\n", "+H\n")
    assert lost(patch, edited) == () and [hunk.changed for hunk in fresh(patch, edited)] == [("-f", "+F", "+H")]
    assert [hunk.digest for hunk in lost(patch, partial(edited, [1]))] == [whole[0].digest]
    with pytest.raises(ValueError, match="there is no hunk 3: the patch has 2"):
        partial(patch, [2])


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
        left = [hunk.digest for hunk in hunks(without(patch, number))]
        assert left == [hunk.digest for hunk in made[:number] + made[number + 1 :]]


def test_a_file_goes_with_its_only_hunk_and_keeps_what_git_said_of_it() -> None:
    new = "diff --git a/n.py b/n.py\nnew file mode 100644\n--- /dev/null\n+++ b/n.py\n@@ -0,0 +1 @@\n+a\n"
    last = "diff --git a/o.py b/o.py\n--- a/o.py\n+++ b/o.py\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n"
    assert (without(new + last, 0), without(new + last, 1), without(last, 0)) == (last, new, "")
