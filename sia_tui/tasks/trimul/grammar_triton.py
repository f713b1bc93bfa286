"""Plans of a Triton module: what one decides about it, in sixteen words.

    dot=fp16 pairs=64 channels=32 slice=32 norm=fused sides=together outgate=early lie=first sums=first keep=fp32
    ti=128 tj=64 tk=32 group=8 stages=3 warps=8

Every combination is a plan, and every plan is a right module on every shape: a plan decides speed alone. Which are fast
is not known here; none was ever timed on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sia_tui.tasks.trimul.grammar import choices


@dataclass(frozen=True)
class Plan:
    dot: Literal["ieee", "tf32", "fp16"]
    """What matrix products are made of: fp32 without tensor cores, fp32 rounded to tf32, or fp16; sums are fp32."""
    pairs: Literal[16, 32, 64, 128]
    """Pairs a program projects, or finishes, at once."""
    channels: Literal[16, 32, 64]
    """Hidden channels a program projects at once; channels of the output it makes at once."""
    slice: Literal[16, 32, 64]
    """Channels of the input that are multiplied at a time."""
    norm: Literal["fused", "apart"]
    """Whether pairs are normalised where they are used, or in a pass of their own that is stored."""
    sides: Literal["together", "apart"]
    """Whether one program projects left, right and the early gate from the same pairs, or one each."""
    outgate: Literal["early", "late"]
    """Whether the output's gate is made with the projections and stored, or where it is needed."""
    lie: Literal["first", "last"]
    """How left and right lie: channels first, [h,i,k], or last, [i,k,h]."""
    sums: Literal["first", "last"]
    """The same of the triangle's sums: [h,i,j] or [i,j,h]."""
    keep: Literal["fp32", "bf16"]
    """What the triangle's sums are stored as."""
    ti: Literal[16, 32, 64, 128]
    tj: Literal[16, 32, 64, 128]
    tk: Literal[16, 32, 64]
    """The triangle's tile."""
    group: Literal[1, 4, 8]
    """Rows of tiles that are walked together, so that what one has read is still in the cache for the next."""
    stages: Literal[1, 2, 3, 4]
    """How far ahead the triangle's loop reads; fewer where shared memory does not hold as many."""
    warps: Literal[4, 8]


CHOICES: Final = choices(Plan)
