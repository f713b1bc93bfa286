"""Heavy libraries into a process, without what they would bring along unasked."""

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
def hidden(*names: str) -> Iterator[None]:
    """Modules that are not there yet cannot be imported meanwhile: libraries that make use of them where they are do without."""
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]
    absent = [name for name in names if name not in modules]
    for name in absent:
        # What is None cannot be imported.
        modules[name] = None
    try:
        yield
    finally:
        for name in absent:
            del modules[name]


@contextmanager
def quickly(models: bool = True) -> Iterator[None]:
    """Around the first import of torch and transformers, which takes two thirds of its time then, and around what else is made
    once and stays; without `models` transformers takes torch for missing, now and later.

    The garbage collector would walk through all of it again and again: it is off meanwhile, and leaves it alone after.
    """
    if not models:
        os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"
    gc.disable()
    try:
        with hidden(UNUSED, *(() if models else (MODELS,))):
            yield
    finally:
        gc.freeze()
        gc.enable()
