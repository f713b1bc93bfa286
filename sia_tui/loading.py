"""Torch and transformers into a process, in two thirds of the time that a plain import takes."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNUSED = "sklearn"
"""transformers imports it where it is installed, and with it SciPy and pandas, for a way of decoding that nobody asks for."""


@contextmanager
def quickly() -> Iterator[None]:
    """Around the first import of heavy libraries, and around what else is made once and stays.

    The garbage collector would walk through all of it again and again: it is off meanwhile, and leaves it alone after.
    """
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]
    hidden = UNUSED not in modules
    if hidden:
        # What is None cannot be imported.
        modules[UNUSED] = None
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        if hidden:
            del modules[UNUSED]
