"""Programs of the person's own that take the terminal for a while: an editor, a pager. The window waits behind them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from textual.app import App, SuspendNotSupported

from sia_tui.core.text import clean


class Outside(Exception):
    """It could not be started; the message says why."""


def edit(app: App[None], text: str, name: str) -> str:
    """The text as the person's editor leaves it; `name` gives the file its ending. Raises Outside."""
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="sia-edit-") as folder:
        # The name is a patch's word: only its ending reaches the disk.
        path = Path(folder) / f"edit{_ending(name)}"
        path.write_bytes(text.encode())
        _run(app, [*shlex.split(command), str(path)])
        try:
            return path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as fault:
            raise Outside(f"what the editor left cannot be read: {fault}") from fault


def page(app: App[None], patch: str) -> None:
    """A patch in delta, else in $PAGER. Raises Outside."""
    delta = shutil.which("delta")
    command = [delta, "--paging=always"] if delta else shlex.split(os.environ.get("PAGER") or "less")
    with tempfile.TemporaryDirectory(prefix="sia-page-") as folder:
        path = Path(folder) / "patch.diff"
        path.write_text(clean(patch), encoding="utf-8")
        with path.open(encoding="utf-8") as stream:
            _run(app, command, stream.fileno())


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
