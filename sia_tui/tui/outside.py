"""Programs of the person's own that take the terminal for a while: an editor, a pager. The window waits behind them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from textual.app import App, SuspendNotSupported

from sia_tui.core.text import clean


class Outside(Exception):
    """It could not be started; the message says why."""


def edit(app: App[None], text: str, name: str) -> str:
    """The text as the person's editor leaves it; `name` gives the file its ending. Raises Outside."""
    command = _words(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    # The name is a patch's word: only its ending reaches the disk.
    with _written(text, f"edit{_ending(name)}") as path:
        _run(app, [*command, str(path)])
        try:
            return path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as fault:
            raise Outside(f"what the editor left cannot be read: {fault}") from fault


def page(app: App[None], patch: str) -> None:
    """A patch in delta, else in $PAGER. Raises Outside."""
    delta = shutil.which("delta")
    command = [delta, "--paging=always"] if delta else _words(os.environ.get("PAGER") or "less")
    with _written(clean(patch), "patch.diff") as path, path.open(encoding="utf-8") as stream:
        _run(app, command, stream.fileno())


@contextmanager
def _written(text: str, name: str) -> Iterator[Path]:
    """The text in a file of this name, for a while. Raises Outside."""
    with ExitStack() as stack:
        try:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sia-outside-"))) / name
            path.write_bytes(text.encode())
        except (OSError, UnicodeEncodeError) as fault:
            raise Outside(f"no file for another program can be written; set TMPDIR ({fault})") from fault
        yield path


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as fault:
        raise Outside(f"{command}: {fault}; set EDITOR or PAGER") from fault


def _ending(name: str) -> str:
    ending = Path(name).suffix
    return ending if ending[1:].isalnum() and ending.isascii() else ".txt"


def _run(app: App[None], command: list[str], stdin: int | None = None) -> None:
    try:
        with app.suspend():
            code = subprocess.run(command, stdin=stdin, check=False).returncode
    except SuspendNotSupported as fault:
        raise Outside("this window has no terminal to lend (it is served to a browser)") from fault
    except OSError as fault:
        raise Outside(f"{command[0]} cannot be started ({fault}); set EDITOR or PAGER") from fault
    if code:
        raise Outside(f"{command[0]} ended with {code}: nothing is changed")
