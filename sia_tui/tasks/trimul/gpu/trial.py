"""From a module to a score: loaded in a process of its own, called on fresh inputs, every call checked, timed and paid.

Before and after the candidate lives, and never beside it, two modules of the task's own are timed on the same shape: one
that does nothing, which is taken off, and plain PyTorch, which it is paid for being faster than. (A candidate that was
alive meanwhile could keep the GPU busy then.) A time is the mean of calls, as GPU MODE's is, repeated until its standard
error is a thousandth of it, or calls or seconds are used up.
What is fast enough to be impossible is held for a person: not paid, and not called a cheat.
"""

from __future__ import annotations

import itertools
import secrets
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self

from sia_tui.core.episodes import Score
from sia_tui.core.hardware import Card
from sia_tui.tasks.trimul.compiling import said, written
from sia_tui.tasks.trimul.gpu.driver import DriverFailed
from sia_tui.tasks.trimul.gpu.home import MODULE, Home
from sia_tui.tasks.trimul.gpu.memory import Device
from sia_tui.tasks.trimul.gpu.stage import Stage
from sia_tui.tasks.trimul.gpu.truth import arithmetic, make_inputs, reference, wrong
from sia_tui.tasks.trimul.peer import KernelFailed, Peer, RunnerFailed
from sia_tui.tasks.trimul.reference import traffic
from sia_tui.tasks.trimul.spec import Shape
from sia_tui.tasks.trimul.turn import turn
from sia_tui.tasks.trimul.verdict import MARGIN, Timed, complaints, judged
from sia_tui.trees import remove

START_S: Final = 120.0
"""For torch, and a context on the GPU, to come up."""
LOAD_S: Final = 30.0
FIRST_S: Final = 120.0
"""For the first call, which compiles."""
CALL_S: Final = 10.0
WARM: Final = 3
"""Calls that are checked and not counted."""
SURE: Final = 1e-3
"""The standard error of a mean, as a share of it, at which there are repeats enough."""
IDLE, PLAIN = "idle", "plain"


@dataclass(frozen=True)
class Limits:
    """Repeats of one module on one shape; GPU MODE's, but for the fewest."""

    fewest: int = 5
    most: int = 100
    seconds: float = 30.0


@dataclass(frozen=True)
class Mean:
    seconds: float
    error: float
    repeats: int


@dataclass(frozen=True)
class Timing:
    """Seconds of a module on a shape, raw; `idle` and `plain` are the lesser of two, one before and one after."""

    raw: Mean
    idle: float
    plain: float
    bound: float
    """What the card's peak asks for, by the least that has to be computed and moved."""

    @property
    def seconds(self) -> float:
        return self.raw.seconds - self.idle

    @property
    def speedup(self) -> float:
        """Over plain PyTorch, which no noise makes faster than the card can be."""
        return max(self.plain - self.idle, self.bound) / self.seconds

    @property
    def impossible(self) -> bool:
        return self.seconds * MARGIN < self.bound

    def measures(self) -> dict[str, float]:
        """By name, times in microseconds."""
        return {
            "us": 1e6 * self.seconds,
            "error_us": 1e6 * self.raw.error,
            "repeats": float(self.raw.repeats),
            "idle_us": 1e6 * self.idle,
            "plain_us": 1e6 * (self.plain - self.idle),
            "bound_us": 1e6 * self.bound,
        }


class Trial:
    """Scores modules, one at a time; context manager. Raises RunnerFailed where the machine is at fault.

    `lock` is a file that whoever times kernels on this machine holds meanwhile.
    """

    def __init__(
        self, device: Device, card: Card, theirs: Home, ours: Home, lock: Path, limits: Limits = Limits()
    ) -> None:
        import torch

        self._device, self._card, self._limits = device, card, limits
        self._theirs, self._ours, self._lock = theirs, ours, lock
        self._generator = torch.Generator(device)
        self._generator.manual_seed(secrets.randbits(63))
        self._stage: Stage | None = None
        self._nulls: dict[str, Peer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def score(self, source: object, shape: Shape) -> Score:
        """The judgement of an untrusted answer."""
        return judged(source, partial(self._timed, shape))

    def compiler_says(self, source: str) -> str:
        """Python's own lines on an untrusted module, which is not run, so that Triton, which compiles what is called, is not
        asked; nothing where it compiles."""
        return complaints(source, self._checked)

    def score_null(self, shape: Shape) -> Score:
        """Plain PyTorch's, beside itself."""
        return self.score(Path(__file__).with_name("plain.py").read_text("utf-8"), shape)

    def time(self, source: str, shape: Shape) -> Timing:
        """Raises KernelFailed as soon as anything is wrong."""
        with turn(self._lock):
            stage = self._staged(shape)
            before = self._null_times(stage)
            raw, operations = self._candidate(source, stage, before[0])
            after = self._null_times(stage)
        idle, plain = (min(pair) for pair in zip(before, after, strict=True))
        bound = max(operations / self._card.flops, traffic(shape) / self._card.bandwidth)
        return Timing(raw, idle, plain, bound)

    def _timed(self, shape: Shape, source: str) -> Timed:
        timing = self.time(source, shape)
        measures = timing.measures()
        if timing.impossible:
            why = f"{measures['us']:.3g} us, where this card's peak needs {measures['bound_us']:.3g}"
            return Timed(0.0, measures, why)
        return Timed(timing.speedup, measures | {"speedup": timing.speedup})

    def _checked(self, source: str) -> None:
        """Raises KernelFailed with what Python's compiler says."""
        _emptied(self._theirs.folder)
        written(self._theirs.folder / MODULE, source)
        said(self._theirs.check, self._theirs.folder, "Python's compiler")

    def _candidate(self, source: str, stage: Stage, idle: float) -> tuple[Mean, int]:
        _emptied(self._theirs.folder)
        peer = self._loaded(self._theirs, MODULE, source, stage)
        try:
            return self._repeated(peer, stage, idle)
        finally:
            peer.close()

    def _repeated(self, peer: Peer, stage: Stage, idle: float, checked: bool = True) -> tuple[Mean, int]:
        """The mean of calls, and the fewest operations that any of them had to do."""
        seconds: list[float] = []
        fewest: list[int] = []
        ends = time.monotonic() + FIRST_S + self._limits.seconds
        for number in itertools.count():
            inputs = make_inputs(stage.shape, self._generator)
            expected = reference(inputs) if checked else None
            out, took = stage.timed(inputs, partial(_call, peer, CALL_S if number else FIRST_S))
            if expected is not None and (why := wrong(out, expected)):
                raise KernelFailed("wrong", why)
            peer.unasked()
            if number >= WARM:
                seconds.append(took)
                fewest.append(arithmetic(inputs))
            if len(seconds) >= self._limits.fewest and self._enough(seconds, idle, ends):
                break
        return _mean(seconds), min(fewest)

    def _enough(self, seconds: list[float], idle: float, ends: float) -> bool:
        mean = _mean(seconds)
        spent = sum(seconds) > self._limits.seconds or time.monotonic() > ends
        return spent or mean.repeats >= self._limits.most or mean.error < SURE * (mean.seconds - idle)

    def _null_times(self, stage: Stage) -> tuple[float, float]:
        """(idle, plain) with no candidate alive."""
        with _machines_fault():
            idle, _ = self._repeated(self._nulls[IDLE], stage, 0.0, checked=False)
            plain, _ = self._repeated(self._nulls[PLAIN], stage, idle.seconds)
        return idle.seconds, plain.seconds

    def _staged(self, shape: Shape) -> Stage:
        """The memory of a shape, with the task's own modules loaded on it; that of one shape at a time."""
        if self._stage is None or self._stage.shape != shape:
            self._clear()
            with _machines_fault():
                self._stage = Stage(self._device, shape)
                for name in (IDLE, PLAIN):
                    source = Path(__file__).with_name(f"{name}.py").read_text("utf-8")
                    self._nulls[name] = self._loaded(self._ours, f"{name}.py", source, self._stage)
        return self._stage

    def _loaded(self, home: Home, name: str, source: str, stage: Stage) -> Peer:
        module = home.folder / name
        written(module, source)
        peer = Peer(home.run, listens=True)
        try:
            peer.greeted(START_S)
            peer.load(stage.header(str(module)), stage.descriptors, LOAD_S)
        except BaseException:
            peer.close()
            raise
        return peer

    def _clear(self) -> None:
        while self._nulls:
            self._nulls.popitem()[1].close()
        if self._stage is not None:
            self._stage.close()
            self._stage = None


def _call(peer: Peer, within_s: float) -> None:
    ends = time.monotonic() + within_s

    def late() -> None:
        if time.monotonic() > ends:
            raise KernelFailed("timeout", f"a call took more than {within_s:g} s") from None

    peer.tell(b"!")
    peer.wait(late)


def _mean(seconds: list[float]) -> Mean:
    error = statistics.stdev(seconds) / len(seconds) ** 0.5 if len(seconds) > 1 else 0.0
    return Mean(statistics.fmean(seconds), error, len(seconds))


def _emptied(folder: Path) -> None:
    """What a module wrote, its compiler's cache too, is not there for the next."""
    for old in folder.iterdir():
        remove(old)


@contextmanager
def _machines_fault() -> Iterator[None]:
    """Around our own modules: that one fails says nothing of a candidate."""
    try:
        yield
    except KernelFailed as failed:
        raise RunnerFailed(f"the task's own module failed ({failed.kind}): {failed}") from failed
    except DriverFailed as failed:
        raise RunnerFailed(f"the GPU gave no memory: {failed}") from failed
