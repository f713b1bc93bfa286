import sys

from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core.text import _steers, clean, one_line


@given(st.text())
def test_cleaned_text_steers_no_terminal(text: str) -> None:
    for char in clean(text):
        assert char in "\n\t" or char.isprintable() or char == "\u3000" or char.isspace()
    assert "\x1b" not in clean(text) and "\u202e" not in clean(text)
    assert clean(clean(text)) == clean(text)


@given(st.text(), st.integers(1, 50))
def test_one_line_is_one_line_of_that_width(text: str, width: int) -> None:
    line = one_line(text, width)
    assert len(line) <= width and "\n" not in line


def test_marks_are_readable() -> None:
    assert clean("a\x1b[31mb\u202ec") == "a␛[31mb<U+202E>c"
    assert clean("盗窃罪，第1条\n") == "盗窃罪，第1条\n"


def test_what_python_calls_printable_steers_nothing() -> None:
    """The short way of `clean` rests on it; Python's tables of characters may be others one day."""
    assert not any(_steers(char) for char in map(chr, range(sys.maxunicode + 1)) if char.isprintable())
