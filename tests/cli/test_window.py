"""When the window opens and when lines are printed; what a terminal is left with."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pyte
import pytest

from sia_tui.cli.main import main
from tests.tui.runs import make_run

SIZE = (40, 120)


class Terminal:
    """A command on a terminal of its own, and what the terminal shows."""

    def __init__(self, arguments: list[str]) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        self._screen = pyte.Screen(SIZE[1], SIZE[0])
        self._stream = pyte.ByteStream(self._screen)
        self._ours = ours
        self.raw = b""
        command = [sys.executable, "-m", "sia_tui", *arguments]
        environment = os.environ | {"TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)

    def until(self, said: str, seconds: float = 30.0) -> str:
        end = time.monotonic() + seconds
        while said not in (shown := "\n".join(self._screen.display)):
            assert time.monotonic() < end, f"{said!r} is not in\n{shown}"
            self._read()
        return shown

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self) -> tuple[int, str]:
        """The exit code, and all that came after the window closed."""
        end = time.monotonic() + 30
        while self._read() or self.process.poll() is None:
            assert time.monotonic() < end, "it goes on"
        os.close(self._ours)
        return self.process.wait(), self.raw.rsplit(b"\x1b[?1049l", 1)[-1].decode()

    def _read(self) -> bool:
        if not select.select([self._ours], [], [], 0.2)[0]:
            return False
        try:
            data = os.read(self._ours, 65536)
        except OSError:
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)


def test_attach_on_a_terminal_opens_the_window_and_q_leaves_it(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "r", "plan_gate")
    terminal = Terminal(["attach", "r", "--workspace", str(tmp_path)])
    try:
        assert "GATE waits" in terminal.until("serves")
        terminal.press("q")
        code, after = terminal.end()
    finally:
        terminal.process.kill()
    assert code == 0
    assert "r: no engine is running; go on with: sia-tui resume r" in after


def test_a_window_that_is_killed_leaves_the_run_alone(tmp_path: Path) -> None:
    db = make_run(tmp_path / "runs" / "r", "plan_gate").db
    before = db.read_bytes()
    terminal = Terminal(["attach", "r", "--workspace", str(tmp_path)])
    terminal.until("serves")
    terminal.process.send_signal(signal.SIGKILL)
    terminal.process.wait(timeout=10)
    assert db.read_bytes() == before


@pytest.mark.parametrize("plain", [["--plain"], []])
def test_attach_without_a_terminal_prints_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], plain: list[str]
) -> None:
    make_run(tmp_path / "runs" / "r", "done")
    assert main(["attach", "r", "--workspace", str(tmp_path), *plain]) == 0
    told = capsys.readouterr().out
    assert "run done: all 4 steps made" in told and "no engine is running; see: sia-tui show r" in told


@pytest.mark.parametrize(
    "arguments",
    [["ls"], ["show", "r"], ["pending"], ["attach", "r", "--plain"], ["approve", "gate-9", "--hash", "12345678"]],
    ids=lambda arguments: arguments[0],
)
def test_a_verb_that_prints_imports_neither_textual_nor_torch(tmp_path: Path, arguments: list[str]) -> None:
    make_run(tmp_path / "runs" / "r", "fresh")
    code = (
        "import sys\nfrom sia_tui.cli.main import main\n"
        f"main({[*arguments, '--workspace', str(tmp_path)]!r})\n"
        "print([name for name in ('textual', 'textual_plot', 'torch', 'numpy') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"
