"""A real terminal for a test: a pty with a program on it, and what a person would see on the screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import pyte


class Terminal:
    """120 × 40 cells, read by pyte. As a context manager it ends the program with the terminal, as a lost ssh would."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], columns: int = 120, lines: int = 40
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # Before the program can ask for it.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
            os.execvpe(command[0], list(command), _for_a_terminal(environment))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.ended() is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def see(self, text: str, within_s: float = 30.0) -> str:
        """The screen, once `text` stands on it. Raises AssertionError with the screen when it does not come."""
        end = time.monotonic() + within_s
        while text not in self.screen():
            assert time.monotonic() < end, f"{text!r} did not come; the screen is\n{self.screen()}"
        return self.screen()

    def screen(self) -> str:
        """What is shown now; takes up to a tenth of a second to look."""
        if select.select([self.fd], [], [], 0.1)[0]:
            with contextlib.suppress(OSError):
                data = os.read(self.fd, 1 << 16)
                self.raw += data
                self._stream.feed(data)
        # pyte's own `display` stumbles over a wide character that another one has half overwritten.
        rows, columns = range(self._screen.lines), range(self._screen.columns)
        return "\n".join("".join(self._screen.buffer[y][x].data for x in columns) for y in rows)

    def drain(self) -> None:
        """Takes what is shown without looking at it, for up to a tenth of a second: a full terminal would stop its program."""
        if select.select([self.fd], [], [], 0.1)[0]:
            with contextlib.suppress(OSError):
                os.read(self.fd, 1 << 16)

    def ended(self) -> int | None:
        """The exit status, once it has ended."""
        if not hasattr(self, "_status"):
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid == 0:
                return None
            self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def wait(self, within_s: float = 20.0) -> int:
        end = time.monotonic() + within_s
        while (status := self.ended()) is None:
            assert time.monotonic() < end, f"still running; the screen is\n{self.screen()}"
            self.screen()
        self.screen()
        return status

    def after(self) -> str:
        """What was printed once the window had given the terminal back."""
        return self.raw.rsplit(b"\x1b[?1049l", 1)[-1].decode()


def _for_a_terminal(environment: Mapping[str, str]) -> dict[str, str]:
    # pytest's import of readline exports the size of *its* terminal to its workers, and Python believes it over the pty.
    kept = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
    return kept | {"TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}
