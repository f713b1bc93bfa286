"""Torch and transformers into a process, in two thirds of the time that a plain import takes."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNUSED = "sklearn"
"""transformers imports it where it is installed, and with it SciPy and pandas, for a way of decoding that nobody asks for."""
MODELS = "torch"
"""What a process does without that only reads tokenizers and configurations: five seconds and 200 MB less."""


@contextmanager
def quickly(models: bool = True) -> Iterator[None]:
    """Around the first import of heavy libraries, and around what else is made once and stays; without `models`
    transformers takes torch for missing, now and later.

    The garbage collector would walk through all of it again and again: it is off meanwhile, and leaves it alone after.
    """
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]
    hidden = [name for name in (UNUSED, *(() if models else (MODELS,))) if name not in modules]
    if not models:
        os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"
    for name in hidden:
        # What is None cannot be imported.
        modules[name] = None
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        for name in hidden:
            del modules[name]
