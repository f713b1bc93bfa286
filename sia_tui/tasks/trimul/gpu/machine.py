"""Whether this machine can time modules on a GPU, and what its GPU can do at most."""

from __future__ import annotations

import re
from importlib.util import find_spec

from sia_tui.core.hardware import CARDS, Card

REASONS = "TriMul's GPU side is skipped: "


def missing() -> str | None:
    """Why nothing can be timed here, with what to do, in one line; None where it can."""
    if find_spec("triton") is None:
        return "triton is not installed: pip install 'sia-tui[gpu]'"
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA: install its CUDA build"
    if not torch.cuda.is_available():
        return "no GPU that CUDA can use: see nvidia-smi, and the driver's version for CUDA " + torch.version.cuda
    if card_named(torch.cuda.get_device_name(0)) is None:
        return f"the peaks of {torch.cuda.get_device_name(0)} are not known: add it to CARDS in core/hardware.py"
    return None


def card_named(name: str) -> Card | None:
    """The card that the driver calls so, by its data sheet: dense bfloat16, which no wider product beats."""
    return next((CARDS[word] for word in re.split(r"[\s_-]+", name.upper()) if word in CARDS), None)
