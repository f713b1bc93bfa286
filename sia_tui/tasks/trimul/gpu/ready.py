"""Whether this machine can time modules on a GPU, and what its GPU can do at most."""

from __future__ import annotations

import math
import os
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
    name = torch.cuda.get_device_name(torch.cuda.device_count() - 1)
    return None if card_named(name) else f"the peaks of {name} are not known: add it to CARDS in core/hardware.py"


def last_gpu() -> str:
    """The GPU that modules are timed on, by its number in `nvidia-smi`: the last that this process sees.

    A run's policy and trainer are to be on others (`serve_on`, `train_on`), or they would be timed too.
    """
    import torch

    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    return shown.split(",")[-1] if shown else str(torch.cuda.device_count() - 1)


def card_named(name: str) -> Card | None:
    """The card that the driver calls so, by its data sheet: dense bfloat16, which no wider product beats."""
    return next((CARDS[word] for word in re.split(r"[\s_-]+", name.upper()) if word in CARDS), None)


def card_of(device: Device) -> Card:
    """The card of a process that sees one GPU; the host's memory, in a GPU's place, has no peak."""
    if device == "cpu":
        return Card(0, math.inf, math.inf)
    import torch

    card = card_named(torch.cuda.get_device_name(0))
    assert card is not None
    return card
