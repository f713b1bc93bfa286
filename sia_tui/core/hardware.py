"""What a plan is to be carried out on: this machine, or one that is asked about. `engine/hardware.py` looks at this one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sia_tui.core.memory import GIB

_MIB = 1 << 20


@dataclass(frozen=True)
class Card:
    memory: int
    """Bytes, as `nvidia-smi` reports them."""
    flops: float
    """Dense bfloat16 operations a second, by the data sheet."""
    bandwidth: float
    """Bytes of its memory a second, by the data sheet."""


CARDS: Mapping[str, Card] = {
    "A100": Card(81_920 * _MIB, 312e12, 2.04e12),
    "B200": Card(183_359 * _MIB, 2.25e15, 8.0e12),
    "H100": Card(81_559 * _MIB, 989e12, 3.35e12),
    "H200": Card(143_771 * _MIB, 989e12, 4.8e12),
    "L4": Card(23_034 * _MIB, 121e12, 0.3e12),
    "L40S": Card(46_068 * _MIB, 362e12, 0.864e12),
}
"""SXM where there is such a module; the larger memory where there are two."""

CORE = Card(0, 40e9, 10e9)
"""A CPU core: 4 s for a GRPO step of 128 rows of 215 tokens of a 1.4 M parameter model were measured; bandwidth guessed."""


@dataclass(frozen=True)
class Machine:
    """GPUs of one kind, or none."""

    name: str
    gpus: int
    card: Card
    """One GPU; without any, one core."""
    host: int | None
    """Bytes of host memory; None: nobody knows."""

    @property
    def told(self) -> str:
        if self.gpus:
            return f"{self.gpus} × {self.name}, {self.card.memory / GIB:.1f} GiB each"
        return f"no GPU, {(self.host or 0) / GIB:.1f} GiB of host memory"


def only(gpus: Sequence[int]) -> dict[str, str]:
    """The environment of a process that is to see these GPUs alone, by their numbers in `nvidia-smi`; none named: as it is."""
    numbers = ",".join(map(str, gpus))
    return {"CUDA_VISIBLE_DEVICES": numbers, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if numbers else {}


def machine_named(text: str) -> Machine:
    """The machine that `H100x8` or `H100` describes. Raises ValueError."""
    found = re.fullmatch(r"([A-Za-z0-9]+?)(?:x([1-9]\d{0,2}))?", text)
    if found is None or found[1].upper() not in CARDS:
        raise ValueError(f"{text!r}: expected a card and how many, such as H100x8; cards: {', '.join(CARDS)}")
    name = found[1].upper()
    return Machine(name, int(found[2] or 1), CARDS[name], None)


def card_like(name: str, memory: int) -> Card:
    """The card of which a driver says this name and so many bytes; an unknown one is taken to be as fast as an L4."""
    words = re.split(r"[\s_-]+", name.upper())
    known = next((CARDS[word] for word in words if word in CARDS), CARDS["L4"])
    return Card(memory, known.flops, known.bandwidth)
