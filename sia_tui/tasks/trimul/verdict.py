"""What an untrusted answer comes to, in C or in Python: not there, no text, failed, held, or timed and paid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sia_tui.core.episodes import Score
from sia_tui.tasks.trimul.peer import KernelFailed

SLOWEST, FASTEST = 1 / 8, 32.0
"""Speed-ups that earn nothing and all: slower than the first is a timeout; over the naive kernel the second is more than
fp32 arithmetic at its measured peak allows for nine cases in ten (the median of 24 allows 16)."""
LEAST: Final = 0.02
"""What a right answer earns at least."""
LONGEST: Final = 65_536
"""Characters of a source."""
MARGIN: Final = 1.1
"""How far beyond the peak is not yet beyond what is possible."""


@dataclass(frozen=True)
class Timed:
    """A right answer's speed-up, and what was measured, by name."""

    speedup: float
    measures: dict[str, float]
    impossible: str = ""
    """Why it is faster than it can be; nothing where it is not."""


def reward_of(speedup: float) -> float:
    """Even on a log scale: 0 at an eighth of the other's speed, 3/8 at the same, 6/8 at 8 times, 1 at 32 times."""
    return min(1.0, max(LEAST, math.log(speedup / SLOWEST) / math.log(FASTEST / SLOWEST)))


def judged(source: object, time: Callable[[str], Timed]) -> Score:
    """The judgement of an untrusted answer, which `time` times or raises KernelFailed for. What is no source, not right or
    not believed earns 0, and says why."""
    if source is None or (type(source) is str and not source.strip()):
        return Score(0.0, "no_answer")
    if type(source) is not str:
        return Score(0.0, "bad_answer")
    try:
        short_enough(source)
        timed = time(source)
    except KernelFailed as failed:
        return Score(0.0, failed.kind, detail={"message": str(failed)})
    if timed.impossible:
        return Score(0.0, "held", timed.measures, {"message": timed.impossible})
    return Score(reward_of(timed.speedup), None, timed.measures)


def complaints(source: str, build: Callable[[str], object]) -> str:
    """What the compiler that `build` asks says of a source; nothing where it compiles."""
    try:
        short_enough(source)
        build(source)
    except KernelFailed as failed:
        return str(failed)
    return ""


def short_enough(source: str) -> None:
    """Raises KernelFailed."""
    if len(source) > LONGEST:
        raise KernelFailed("compile", f"the source has {len(source):,} characters, {LONGEST:,} are allowed")
