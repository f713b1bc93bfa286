"""A compiler, walled in: gcc with the task's flags, or Python's."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from sia_tui.tasks.trimul.peer import KernelFailed
from sia_tui.tasks.trimul.programs import LIBRARY, SOURCE, Command, Place, end, launch

DEADLINE_S: Final = 30.0
KEPT: Final = 2000
"""Characters of what the compiler said that come back."""
LIBRARIES: Final = 64
LARGEST: Final = 1024 * 1024
"""Bytes of a library that is kept; a kernel's has some twenty thousand."""


def compiled(place: Place, source: str) -> Path:
    """The library made of a source, under the same name every time. KernelFailed with the compiler's own lines."""
    library = place.folder / LIBRARY
    library.unlink(missing_ok=True)
    written(place.folder / SOURCE, source)
    said(place.compile, place.folder, "gcc")
    if not library.is_file():
        raise KernelFailed("compile", "gcc ended well and made nothing")
    return library


def written(path: Path, source: str) -> None:
    path.write_text(source, "utf-8", errors="backslashreplace")


def said(compiler: Command, folder: Path, name: str) -> None:
    """Runs a walled compiler. KernelFailed with its own lines, less the folder's name, where it refuses."""
    with tempfile.TemporaryFile() as output:
        code = _run(compiler, output.fileno())
        output.seek(0)
        lines = output.read(16 * KEPT).decode("utf-8", "replace").replace(f"{folder}/", "")
    if code is None:
        raise KernelFailed("compile", f"{name} was not done after {DEADLINE_S:g} s")
    if code != 0:
        raise KernelFailed("compile", lines.strip()[:KEPT] or f"{name} ended with status {code} and said nothing")


class Compiler:
    """gcc for one place. What it made lately is kept in this process' memory, where no candidate reads it: whoever asked the
    compiler first, or writes for another case what was written before, does not wait for it again."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._made: dict[str, bytes] = {}

    def build(self, source: str) -> Path:
        """As `compiled`."""
        name = hashlib.sha256(source.encode("utf-8", "backslashreplace")).hexdigest()
        made = self._made.pop(name, None)
        if made is None:
            library = compiled(self._place, source)
            made = library.read_bytes() if library.stat().st_size <= LARGEST else None
        else:
            library = self._place.folder / LIBRARY
            library.unlink(missing_ok=True)
            library.write_bytes(made)
        if made is not None:
            self._made[name] = made
        while len(self._made) > LIBRARIES:
            del self._made[next(iter(self._made))]
        return library


def _run(compiler: Command, output: int) -> int | None:
    process = launch(compiler, subprocess.DEVNULL, output)
    try:
        return process.wait(DEADLINE_S)
    except subprocess.TimeoutExpired:
        return None
    finally:
        end(process)
