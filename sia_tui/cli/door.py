"""The one way out to a terminal: whatever a verb prints, nothing in it steers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast


class Door:
    """A stream whose words are cleaned. In JSON what steers is escaped instead, so that it still says the same."""

    def __init__(self, out: TextIO, as_json: bool) -> None:
        self._out, self._json = out, as_json

    def write(self, text: str) -> int:
        if not text.isascii() or not text.isprintable():
            from sia_tui.core.text import clean, escaped

            text = escaped(text) if self._json else clean(text)
        return self._out.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)


@contextmanager
def door(out: TextIO, err: TextIO, as_json: bool) -> Iterator[None]:
    # What has no name of its own among these is asked of the stream behind.
    with redirect_stdout(cast(TextIO, Door(out, as_json))), redirect_stderr(cast(TextIO, Door(err, False))):
        yield
