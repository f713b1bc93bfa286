"""From a candidate's C to a score: compiled, called on fresh inputs beside the baseline, checked, paid.

Every timed call is checked in full against double precision and every checked call is timed, so there is nothing for a
kernel to tell apart. A pair is one call of the candidate and one of the naive kernel on the same inputs, in either order
in turn, on one processor, drawn anew for each verification, so that what else is busy there slows both; the speed-up is
the median of the pairs' ratios, its interval the smallest to the largest (97 % for six pairs, 75 % for three).
What is fast enough to be impossible is held for a person: not paid, and not called a cheat.
"""

from __future__ import annotations

import os
import secrets
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self

import numpy as np

from sia_tui.core.episodes import Score
from sia_tui.tasks.trimul.compiling import Compiler, compiled
from sia_tui.tasks.trimul.kernel import Answer, Kernel
from sia_tui.tasks.trimul.machine import Machine, measured
from sia_tui.tasks.trimul.peer import KernelFailed, RunnerFailed
from sia_tui.tasks.trimul.programs import LIBRARY, Place
from sia_tui.tasks.trimul.reference import Doubles, Inputs, arithmetic, make_inputs, reference, traffic, wrong
from sia_tui.tasks.trimul.spec import Shape
from sia_tui.tasks.trimul.turn import turn
from sia_tui.tasks.trimul.verdict import MARGIN, SLOWEST, Timed, complaints, judged, reward_of

PAIRS: Final = 6
FEWEST: Final = 3
"""Pairs for a candidate so slow that six of them take more than BUDGET_S, or whose first ones agree: of the rest of a
verification, six references cost more than the calls, and pairs repeat to a few percent, where plans differ by factors."""
CLOSE: Final = 1.04
"""The largest ratio over the smallest at which they agree: then the median is within 0.007 of any other reward they allow."""
BUDGET_S: Final = 0.2
GRACE_S: Final = 0.3
WALL_S: Final = 20.0
"""All calls of one verification together, whoever has the processors meanwhile: what sleeps ends here."""
SURE: Final = 60
"""Repeats of the peak before something is held."""
LOADED: Final = 8
"""Baselines kept loaded, a process and some tens of MB each."""
NAIVE, BLAS = "naive", "blas"


@dataclass(frozen=True)
class Timing:
    """Seconds of a kernel and of the naive one on the same inputs, pair by pair."""

    candidate: tuple[float, ...]
    naive: tuple[float, ...]
    operations: int
    bytes: int
    """The least that has to be computed and moved for any of the pairs."""

    @property
    def speedups(self) -> list[float]:
        return sorted(naive / candidate for candidate, naive in zip(self.candidate, self.naive, strict=True))

    @property
    def speedup(self) -> float:
        return statistics.median(self.speedups)

    def impossible(self, machine: Machine) -> bool:
        return statistics.median(self.candidate) * MARGIN < machine.bound(self.operations, self.bytes)

    def measures(self, machine: Machine) -> dict[str, float]:
        """By name, times in milliseconds."""
        ordered = self.speedups
        return {
            "speedup": self.speedup,
            "speedup_lo": ordered[0],
            "speedup_hi": ordered[-1],
            "ms": 1e3 * statistics.median(self.candidate),
            "naive_ms": 1e3 * statistics.median(self.naive),
            "bound_ms": 1e3 * machine.bound(self.operations, self.bytes),
            "pairs": float(len(ordered)),
        }


class Bench:
    """Scores sources for shapes, one at a time; context manager. Loaded baselines are kept, one process a shape.

    `lock` is a file that whoever times kernels on this machine holds meanwhile: two at once would share caches and
    memory. Raises RunnerFailed where the machine, not the candidate, is at fault.
    """

    def __init__(self, candidates: Place, ours: Place, lock: Path) -> None:
        self._candidates, self._ours, self._lock = candidates, ours, lock
        self._compiler = Compiler(candidates)
        self._baselines: dict[Shape, Kernel] = {}
        self._machine: Machine | None = None

    def __enter__(self) -> Self:
        with _machines_fault(), turn(self._lock):
            for name in (NAIVE, BLAS) if self._ours.preload else (NAIVE,):
                source = Path(__file__).with_name(f"{name}.c").read_text("utf-8")
                compiled(self._ours, source).rename(self._ours.folder / f"{name}.so")
            self._machine = measured(self._ours)
        return self

    def __exit__(self, *_: object) -> None:
        while self._baselines:
            self._forget(next(iter(self._baselines)))

    @property
    def machine(self) -> Machine:
        if self._machine is None:
            raise RunnerFailed("a bench is to be entered before it is asked")
        return self._machine

    def score(self, source: object, shape: Shape) -> Score:
        """The judgement of an untrusted answer."""
        return judged(source, partial(self._timed, shape))

    def compiler_says(self, source: str) -> str:
        """gcc's own lines on an untrusted source; nothing where it compiles."""
        return complaints(source, self._compiler.build)

    def time(self, source: str, shape: Shape, pairs: int = PAIRS) -> Timing:
        """Raises KernelFailed as soon as anything is wrong."""
        with Kernel(self._candidates, shape) as candidate:
            self._baseline(shape)
            self._compiler.build(source)
            with turn(self._lock):
                candidate.load(LIBRARY)
                return self._paired(candidate, shape, pairs)

    def _timed(self, shape: Shape, source: str) -> Timed:
        timing = self.time(source, shape)
        if timing.impossible(self.machine):
            self._measure_again()
        measures = timing.measures(self.machine)
        if timing.impossible(self.machine):
            why = f"{measures['ms']:.3g} ms, where this core's fp32 arithmetic needs {measures['bound_ms']:.3g}"
            return Timed(timing.speedup, measures, why)
        return Timed(timing.speedup, measures)

    def time_null(self, shape: Shape, pairs: int = PAIRS) -> Timing | None:
        """The one-thread BLAS version's, where there is a BLAS."""
        if self._ours.preload is None:
            return None
        with _machines_fault(), turn(self._lock), Kernel(self._ours, shape) as blas:
            blas.load(f"{BLAS}.so")
            return self._paired(blas, shape, pairs)

    def score_null(self, shape: Shape) -> Score:
        """The one-thread BLAS version's score; nothing where there is no BLAS."""
        timing = self.time_null(shape)
        if timing is None:
            return Score(0.0, "no_blas")
        return Score(reward_of(timing.speedup), None, timing.measures(self.machine))

    def noise(self, shape: Shape, repeats: int) -> float:
        """Standard deviation of the reward of the naive kernel, judged again and again beside itself."""
        source = Path(__file__).with_name(f"{NAIVE}.c").read_text("utf-8")
        return statistics.stdev(self.score(source, shape).reward for _ in range(repeats))

    def _paired(self, candidate: Kernel, shape: Shape, pairs: int) -> Timing:
        ends = time.monotonic() + WALL_S
        processor = secrets.choice(sorted(os.sched_getaffinity(0)))
        candidate.pin(processor)
        rng = np.random.default_rng(secrets.randbits(128))
        first = make_inputs(shape, rng)
        expected = reference(first)
        naive_s = self._naive(shape, processor, first, expected)
        limit = naive_s / SLOWEST + GRACE_S
        warm_s = _right(candidate.call(first, limit, ends), expected)
        rounds = pairs if pairs * (warm_s + naive_s) < BUDGET_S else min(pairs, FEWEST)
        seconds: list[tuple[float, float]] = []
        operations: list[int] = []
        for pair in range(rounds):
            if pair == FEWEST and _close(seconds):
                break
            inputs = make_inputs(shape, rng)
            expected = reference(inputs)
            if pair % 2:
                naive_s = self._naive(shape, processor, inputs, expected)
            candidate_s = _right(candidate.call(inputs, limit, ends), expected)
            if not pair % 2:
                naive_s = self._naive(shape, processor, inputs, expected)
            seconds.append((candidate_s, naive_s))
            operations.append(arithmetic(inputs))
        return Timing(tuple(c for c, _ in seconds), tuple(n for _, n in seconds), min(operations), traffic(shape))

    def _measure_again(self) -> None:
        """Before anything is held: a busy neighbour may have had half of the core when its peak was measured."""
        with _machines_fault(), turn(self._lock):
            self._machine = self.machine.best(measured(self._ours, SURE))

    def _naive(self, shape: Shape, processor: int, inputs: Inputs, expected: Doubles) -> float:
        """Seconds of the baseline; the first call of one, which meets its pages, does not count."""
        with _machines_fault(), ExitStack() as broken:
            broken.callback(self._forget, shape)
            naive = self._baseline(shape)
            if not naive.loaded:
                naive.load(f"{NAIVE}.so")
                naive.call(inputs, WALL_S, time.monotonic() + WALL_S)
            naive.pin(processor)
            seconds = _right(naive.call(inputs, WALL_S, time.monotonic() + WALL_S), expected)
            broken.pop_all()
            return seconds

    def _baseline(self, shape: Shape) -> Kernel:
        """The naive kernel of a shape, whose process is there or on its way."""
        if shape not in self._baselines:
            if len(self._baselines) >= LOADED:
                self._forget(next(iter(self._baselines)))
            self._baselines[shape] = Kernel(self._ours, shape)
        return self._baselines[shape]

    def _forget(self, shape: Shape) -> None:
        if kernel := self._baselines.pop(shape, None):
            kernel.close()


def _right(answer: Answer, expected: Doubles) -> float:
    """Its seconds, if its outputs are right."""
    if why := wrong(answer.out, expected):
        raise KernelFailed("wrong", why)
    return answer.seconds


def _close(seconds: list[tuple[float, float]]) -> bool:
    ratios = [naive_s / candidate_s for candidate_s, naive_s in seconds]
    return max(ratios) <= CLOSE * min(ratios)


@contextmanager
def _machines_fault() -> Iterator[None]:
    """Around our own kernels: that one fails says nothing of a candidate."""
    try:
        yield
    except KernelFailed as failed:
        raise RunnerFailed(f"the task's own kernel failed ({failed.kind}): {failed}") from failed
