"""gcc, walled in, with the task's flags."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Final

from sia_tui.tasks.trimul.peer import KernelFailed
from sia_tui.tasks.trimul.programs import LIBRARY, SOURCE, Place, end, launch

DEADLINE_S: Final = 30.0
KEPT: Final = 2000
"""Characters of what the compiler said that come back."""


def compiled(place: Place, source: str) -> Path:
    """The library made of a source, under the same name every time. KernelFailed with the compiler's own lines."""
    library = place.folder / LIBRARY
    library.unlink(missing_ok=True)
    (place.folder / SOURCE).write_text(source, "utf-8", errors="backslashreplace")
    with tempfile.TemporaryFile() as said:
        code = _run(place, said.fileno())
        said.seek(0)
        lines = said.read(16 * KEPT).decode("utf-8", "replace").replace(f"{place.folder}/", "")
    if code is None:
        raise KernelFailed("compile", f"gcc was not done after {DEADLINE_S:g} s")
    if code != 0 or not library.is_file():
        raise KernelFailed("compile", lines.strip()[:KEPT] or f"gcc ended with status {code} and said nothing")
    return library


def _run(place: Place, output: int) -> int | None:
    process = launch(place.compile, subprocess.DEVNULL, output)
    try:
        return process.wait(DEADLINE_S)
    except subprocess.TimeoutExpired:
        return None
    finally:
        end(process)
