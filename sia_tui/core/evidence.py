"""Events that say more of what was measured already. None of them decides anything."""

from __future__ import annotations

from dataclasses import dataclass

from sia_tui.core.episodes import Split
from sia_tui.core.event import Event


@dataclass(frozen=True)
class Cell:
    """A paired difference of dev means, in reward units, with its 95 % interval."""

    gain: float
    lo: float
    hi: float

    @property
    def told(self) -> str:
        low, mean, high = (f"{100 * value:+.1f}" for value in (self.lo, self.gain, self.hi))
        return f"{mean} [{low}, {high}]"


@dataclass(frozen=True)
class Attribution:
    """The four cells. `old` is the incumbent's dev mean; the other three are paired with it, None where there is nothing
    to pair, for the reason `absent`."""

    old: float
    harness: Cell | None
    weights: Cell | None
    both: Cell | None
    interaction: Cell | None = None
    """Of the gains, paired over cases, where every cell's rewards were at hand."""
    absent: str = "does not begin"

    @property
    def together(self) -> float | None:
        """Gain of both beyond the sum of what each brings alone (their interaction), in reward units."""
        if self.harness is None or self.weights is None or self.both is None:
            return None
        return self.both.gain - self.harness.gain - self.weights.gain


@dataclass(frozen=True)
class MeasuredAgain(Event):
    """The harness of one generation with the weights of one, on a split: in a run's own log, or beside it in another."""

    key: str
    """Its episodes lie under this one; never under a generation's."""
    harness: int
    weights: int
    split: Split
    seed: int
    """Of the sampling."""
    mean: float
    lo: float
    hi: float
    n: int
    tool_share: float
    differing: int | None = None
    """Cases answered otherwise than when the generation was measured first; None where that is not at hand."""


@dataclass(frozen=True)
class EvidenceWanted(Event):
    """A person wants more before answering. The gate is withdrawn until that is there."""

    gate: str
    by: str


@dataclass(frozen=True)
class EvidenceFound(Event):
    """A candidate and its incumbent on dev under one more sampling seed, and under all of them pooled by case."""

    id: str
    """Of the proposal."""
    generation: int
    incumbent: int
    seed: int
    drawn: Cell
    """Under that seed alone."""
    draws: int
    """Seeds so far, the run's own among them."""
    pooled: Cell
    outcome: str
    n: int
    fixed: int
    broke: int
    moved: int
    """Cases whose reward, on either side, was not the same under every seed."""


@dataclass(frozen=True)
class EvidenceMissed(Event):
    """It could not be had; the gate is put again as it was."""

    id: str
    why: str


@dataclass(frozen=True)
class Attributed(Event):
    """The two-by-two table of a kept pair of steps, its fourth cell measured. Generations by their index."""

    old: int
    between: int
    new: int
    table: Attribution


@dataclass(frozen=True)
class Through:
    """The hunks of a patch, numbered from 0, without any one of which a case is as it was before the patch."""

    case: str
    hunks: tuple[int, ...]


@dataclass(frozen=True)
class Matched(Event):
    """The incumbent on the cases of a preview, with about as many tokens a case as the patch takes: as many answers, of which
    the best is paid."""

    id: str
    """Of the proposal."""
    generation: int
    """The incumbent's."""
    samples: int
    n: int
    mean: float
    """Of each case's best reward: it takes the verifier to pick that, so no harness picks better."""
    tokens: float
    """Mean sampled and prompt tokens a case, of all its answers."""


@dataclass(frozen=True)
class Traced(Event):
    """Some cases that a patch changed, answered again without each of its hunks in turn."""

    id: str
    """Of the proposal."""
    generation: int
    hunks: tuple[str, ...]
    fixed: tuple[Through, ...]
    broke: tuple[Through, ...]
    untold: tuple[int, ...] = ()
    """Hunks without which the rest does not apply, or does not begin."""
    left: int = 0
    """Changed cases that were not looked at."""
