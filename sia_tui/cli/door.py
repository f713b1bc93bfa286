"""The one way out to a terminal: whatever a verb prints, nothing in it steers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast


class Door:
    """A stream whose words are cleaned. In JSON what steers is escaped instead, so that it still says the same."""

    def __init__(self, out: TextIO, name: str, as_json: bool) -> None:
        self._out, self._name, self._json = out, name, as_json

    def write(self, text: str) -> int:
        if not text.isascii() or not text.isprintable():
            from sia_tui.core.text import clean, escaped

            text = self._encodable(escaped(text) if self._json else clean(text))
        with self._named():
            return self._out.write(text)

    def flush(self) -> None:
        with self._named():
            self._out.flush()

    def leave(self) -> None:
        """What could not be written is not tried again at the very end, where Python would tell of it in its own words."""
        try:
            self._out.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())

    def _encodable(self, text: str) -> str:
        encoding = getattr(self._out, "encoding", None) or "utf-8"
        try:
            text.encode(encoding)
            return text
        except UnicodeEncodeError:
            from sia_tui.core.text import in_ascii

            return in_ascii(text) if self._json else text.encode(encoding, "backslashreplace").decode(encoding)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = error.filename or self._name
            raise


def open_streams() -> None:
    """One that was closed leads nowhere: no file of ours is to have its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


@contextmanager
def door(out: TextIO, err: TextIO, as_json: bool) -> Iterator[None]:
    # What has no name of its own among these is asked of the stream behind.
    ways = Door(out, "stdout", as_json), Door(err, "stderr", False)
    with redirect_stdout(cast(TextIO, ways[0])), redirect_stderr(cast(TextIO, ways[1])):
        try:
            yield
        finally:
            for way in ways:
                way.leave()
