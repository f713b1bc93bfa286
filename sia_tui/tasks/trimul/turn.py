"""The machine's turn to time something."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sia_tui.flock import got
from sia_tui.tasks.trimul.peer import RunnerFailed

TURN_S: Final = 120.0
"""For the verifications of others on this machine to be over."""


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Waits for those before; the system drops a dead holder's lock. Raises RunnerFailed."""
    ends = time.monotonic() + TURN_S
    with path.open("w") as file:
        while not got(file.fileno()):
            if time.monotonic() > ends:
                raise RunnerFailed(f"others have timed kernels for {TURN_S:g} s: {path} is locked")
            time.sleep(0.02)
        yield
