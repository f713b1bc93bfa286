"""Lines and their steps, from what git says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core.blame import Written, credits, parse
from sia_tui.core.state import Generation, State

ONE, TWO = "a" * 40, "b" * 40


def porcelain(lines: list[tuple[str, str]]) -> str:
    """As git writes it: what it says of a commit stands at its first line only."""
    said, out = set[str](), ""
    for number, (commit, text) in enumerate(lines, 1):
        about = "" if commit in said else "author x\nsummary \tno line\nboundary\nfilename a b.py\n"
        said.add(commit)
        out += f"{commit} {number} {number} 1\n{about}\t{text}\n"
    return out


@given(st.lists(st.tuples(st.sampled_from([ONE, TWO]), st.text().filter(lambda text: "\n" not in text))))
def test_every_line_is_read_as_it_stands(lines: list[tuple[str, str]]) -> None:
    expected = tuple(Written(number, text, commit) for number, (commit, text) in enumerate(lines, 1))
    assert parse(porcelain(lines)) == expected


@pytest.mark.parametrize("text", ["fatal: no such path", f"{ONE} 1 1 1\nauthor x"])
def test_what_is_no_blame_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="git blame"):
        parse(text)


def test_what_came_of_another_run_has_the_gain_that_it_had_there() -> None:
    there = State(run="old", generations=(Generation(1, "harness", ONE, "t", "k", None, 0, "p", kept=True),))
    written = (Written(1, "x", ONE), Written(2, "y", TWO))
    found = credits(State(run="new"), written, {ONE: "old/g1"}, {"old": there}.get)
    assert (found[ONE].name, found[ONE].outcome) == ("old/g1", "kept") and found[TWO].name == "g0"
    gone = credits(State(run="new"), written, {ONE: "old/g1"}, lambda run: None)
    assert gone[ONE].outcome == "before the run"
