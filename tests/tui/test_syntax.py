"""Syntax colour of diffs: each side as its own file, only what is in sight, readable on every ground."""

from __future__ import annotations

import difflib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.color import Color

from sia_tui.tui.diffing import Diff, parse
from sia_tui.tui.syntax import LANGUAGES, LEAD, Syntax
from sia_tui.tui.theme import THEMES
from sia_tui.tui.widgets.diff import INKS
from sia_tui.tui.widgets.split import SplitView

PATCH = """\
--- a/solve.py
+++ b/solve.py
@@ -1,5 +1,6 @@
 def solve(case):  # one call
-    told = '''
-    if 1
-    '''
+    told = f"{case} 2"
+    return told if 3 else None
+\tpass
"""


def inked(diff: Diff, index: int) -> list[tuple[str, str]]:
    shown = diff.shown(index).text
    return [(shown[start:end], kind) for start, end, kind in Syntax(diff).inks(index)]


def test_a_line_is_coloured_as_it_stands_in_its_own_file() -> None:
    diff = parse(PATCH)
    assert inked(diff, 2) == [("def", "keyword"), ("solve", "name"), ("# one call", "comment")]
    assert {kind for _, kind in inked(diff, 4)} == {"string"}, "within the string that was open on the old side"
    assert inked(diff, 7) == [
        ("return", "keyword"),
        ("if", "keyword"),
        ("3", "number"),
        ("else", "keyword"),
        ("None", "number"),
    ]
    assert inked(diff, 8) == [("pass", "keyword")], "behind a tab that is shown as spaces"


@pytest.mark.parametrize("name", ["harness.unknown", "README.md", "noend", "x.py → y.txt"])
def test_what_no_lexer_is_trusted_with_stays_plain(name: str) -> None:
    assert inked(parse(PATCH.replace("solve.py", name)), 2) == []


def test_after_a_jump_a_row_costs_a_few_of_those_before_it() -> None:
    new = [f"x = {n}\n" for n in range(8000)]
    diff = parse("".join(difflib.unified_diff([], new, "/dev/null", "b/f.json")).replace("f.json", "f.py"))
    syntax = Syntax(diff)
    assert syntax.inks(7000) and len(syntax._inks) <= LEAD + 1
    assert all(syntax.inks(index) for index in range(6900, 7900)), "up from there, and past a stretch's end"


@given(
    st.sampled_from(list(LANGUAGES)),
    st.lists(st.text(st.sampled_from("a0 \"'#\\{}[]()<$:-=\n\t\x1b\u202e盗`@%"), max_size=40), max_size=30),
)
@settings(max_examples=60, deadline=None)
def test_hostile_text_never_raises_and_ink_lies_inside(suffix: str, lines: list[str]) -> None:
    body = [f"{line}\n" for line in "\n".join(lines).split("\n")]
    diff = parse("".join(difflib.unified_diff(body[1::2], body, f"a/f{suffix}", f"b/f{suffix}")))
    syntax = Syntax(diff)
    for index in reversed(range(len(diff.rows))):
        assert all(0 <= start < end <= len(diff.shown(index).text) for start, end, _ in syntax.inks(index))


EVERY = """\
--- a/solve.py
+++ b/solve.py
@@ -1,4 +1,4 @@
 def one(): return "text" + 1  # why
-def two(): return "text" + 2  # why
-def two(): return "gone" + 3  # why
+def two(): return "came" + 3  # why
+def six(): return "more" + 4  # that
 pass
"""


class Shown(App[None]):
    def compose(self) -> ComposeResult:
        yield SplitView(id="diff")


@pytest.mark.parametrize("width", [80, 130])
async def test_every_ink_can_be_read_on_every_ground_in_every_theme(width: int) -> None:
    app = Shown()
    async with app.run_test(size=(width, 24)) as pilot:
        for theme in THEMES:
            app.register_theme(theme)
        app.query_one(SplitView).show(parse(EVERY))
        for theme in THEMES:
            app.theme = theme.name
            await pilot.pause()
            found = drawn(app)
            assert len({text for text, _ in found}) >= len(INKS), theme.name
            assert {pair: round(contrast(*pair), 1) for pair in found if contrast(*pair) < 4.5} == {}, theme.name


def drawn(app: App[Any]) -> set[tuple[Color, Color]]:
    """Colours of letters with their grounds."""
    segments = [one for strip in app.screen._compositor.render_strips() for one in strip]
    styles = [one.style for one in segments if one.text.strip(" │▁") and one.style is not None]
    return {
        (Color.from_rich_color(style.color), Color.from_rich_color(style.bgcolor))
        for style in styles
        if style.color is not None and style.bgcolor is not None
    }


def contrast(one: Color, other: Color) -> float:
    """As WCAG 2.2 reckons it, from 1 to 21; 4.5 is asked of text."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(color: Color) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color.normalized]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
