"""Whether this machine can time modules on a GPU, and what its GPU can do at most."""

from __future__ import annotations

import math
import re
from importlib.util import find_spec

from sia_tui.core.hardware import CARDS, Card
from sia_tui.tasks.trimul.gpu.memory import Device


def missing() -> str | None:
    """Why nothing can be timed here, with what to do, in one line; None where it can."""
    import torch

    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a build without CUDA"
        return f"no GPU that torch {torch.__version__} ({built}) can use: see nvidia-smi"
    if find_spec("triton") is None:
        return "triton is not installed: pip install 'sia-tui[gpu]'"
    if card_named(torch.cuda.get_device_name(0)) is None:
        return f"the peaks of {torch.cuda.get_device_name(0)} are not known: add it to CARDS in core/hardware.py"
    return None


def card_named(name: str) -> Card | None:
    """The card that the driver calls so, by its data sheet: dense bfloat16, which no wider product beats."""
    return next((CARDS[word] for word in re.split(r"[\s_-]+", name.upper()) if word in CARDS), None)


def card_of(device: Device) -> Card:
    """The card modules are timed on; the host's memory, in a GPU's place, has no peak. Call it where none is `missing`."""
    if device == "cpu":
        return Card(0, math.inf, math.inf)
    import torch

    card = card_named(torch.cuda.get_device_name(0))
    assert card is not None
    return card
