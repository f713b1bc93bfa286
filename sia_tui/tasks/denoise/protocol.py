"""How well a denoised matrix predicts molecules that were held out: molecular cross-validation as OpenProblems runs it.

Sources: Batson, Royer and Webber, "Molecular Cross-Validation for Single-Cell RNA-seq" (bioRxiv 786269, 2019); the
denoising task of OpenProblems v1.0.0 (split fraction 0.9, the two losses); Yuksekgonul et al., TTT-Discover (arXiv
2601.16175), for the total of 1e4 molecules a cell, the rejections and the rule `poisson_norm >= 0.97`.

Cells are rows and genes columns, everywhere. Pure: no randomness but the generator handed in.

What the Poisson rule says, plainly. OpenProblems calls the loss with its arguments exchanged: the logarithm is taken of
the *held-out* counts. That loss is linear in the answer, so no denoising and the true rates score alike (0 on the normalised
scale), and what reaches 0.97 is an answer whose values are tiny: MAGIC's do, because it divides by library size before
it squares. The rule is kept as published, so that scores can be compared; `likelihood_norm` is the same loss with the
arguments in their places and the answer's total set right, and has to be at least 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Matrix = NDArray[np.float64]

TRAIN_FRACTION = 0.9
TARGET_SUM = 1e4
"""Molecules a cell is normalised to."""
EPSILON = 1e-6
"""Added under the logarithm of the Poisson loss."""
POISSON_FLOOR = 0.97
LIKELIHOOD_FLOOR = 0.0
GAIN = 1e-6
"""The least `mse_norm` that is more than rounding."""
EMPTY = 1e-9
"""A cell's total, as a share of its own train molecules, below which the cell counts as left empty."""


def split_molecules(counts: Counts, rng: np.random.Generator, fraction: float = TRAIN_FRACTION) -> tuple[Counts, Counts]:
    """(train, test), cells x genes as given: every molecule falls to train with probability `fraction`.

    ValueError for counts that are no integers of at least 0.
    """
    whole = np.asarray(counts)
    if whole.ndim != 2 or not np.isfinite(whole).all() or (whole < 0).any() or (whole != np.floor(whole)).any():
        raise ValueError("molecules can only be split from a cells x genes matrix of integers of at least 0")
    whole = whole.astype(np.int64)
    train = rng.binomial(whole, fraction).astype(np.int64)
    return train, whole - train


def usable(train: Counts, test: Counts) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(cells, genes) to keep: genes with a train molecule, as OpenProblems does, and cells with one on either side."""
    genes = train.sum(axis=0) > 0
    cells = (train[:, genes].sum(axis=1) > 0) & (test[:, genes].sum(axis=1) > 0)
    return cells, genes


def log_normalised(matrix: Counts | Matrix) -> Matrix:
    """log(1 + x) after every cell is scaled to TARGET_SUM; a cell of nothing stays nothing."""
    values = np.asarray(matrix, dtype=np.float64)
    totals = values.sum(axis=1, keepdims=True)
    return np.asarray(np.log1p(values / np.where(totals > 0, totals, 1.0) * TARGET_SUM), dtype=np.float64)


def mse(test: Counts, denoised: Matrix) -> float:
    """Mean squared difference of the two after `log_normalised`."""
    return float(np.mean((log_normalised(test) - log_normalised(denoised)) ** 2))


def poisson(train: Counts, test: Counts, denoised: Matrix) -> float:
    """mean(test - d log(test + EPSILON)), d the answer scaled by sum(test) / sum(train): as published, see above."""
    scaled = np.asarray(denoised, dtype=np.float64) * (test.sum() / train.sum())
    return float(np.mean(test - scaled * np.log(test + EPSILON)))


def likelihood(test: Counts, denoised: Matrix) -> float:
    """mean(d - test log(d + EPSILON)) in nats, d the answer scaled to the molecules of `test`: a Poisson's, up to a constant."""
    values = np.asarray(denoised, dtype=np.float64)
    scaled = values * (test.sum() / values.sum())
    return float(np.mean(scaled - test * np.log(scaled + EPSILON)))


@dataclass(frozen=True)
class Yardstick:
    """A tissue's two ends of each scale: the loss of no denoising (0) and of the held-out counts themselves (1)."""

    mse: float
    poisson: float
    perfect_poisson: float
    likelihood: float
    perfect_likelihood: float

    @classmethod
    def of(cls, train: Counts, test: Counts) -> Yardstick:
        same = train.astype(np.float64)
        told = test.astype(np.float64)
        return cls(
            mse(test, same),
            poisson(train, test, same),
            poisson(train, test, told),
            likelihood(test, same),
            likelihood(test, told),
        )


def measure(train: Counts, test: Counts, denoised: Matrix) -> dict[str, float]:
    """Every figure of a legal answer: `mse_norm`, `poisson_norm`, `likelihood_norm`, and `scale`, its total over train's.

    Nothing is clipped: worse than no denoising is below 0.
    """
    ends = Yardstick.of(train, test)
    return {
        "mse_norm": 1.0 - mse(test, denoised) / ends.mse,
        "poisson_norm": _between(ends.poisson, ends.perfect_poisson, poisson(train, test, denoised)),
        "likelihood_norm": _between(ends.likelihood, ends.perfect_likelihood, likelihood(test, denoised)),
        "scale": float(np.sum(denoised) / train.sum()),
    }


def fault(train: Counts, denoised: Any) -> str | None:
    """The failure kind of an answer that is no denoised matrix of these counts; None for one that is."""
    if not isinstance(denoised, np.ndarray) or denoised.dtype.kind not in "fiu":
        return "dtype"
    if denoised.shape != train.shape:
        return "shape"
    values = denoised.astype(np.float64)
    if np.isnan(values).any():
        return "nan"
    if np.isinf(values).any():
        return "infinite"
    if (values < 0).any():
        return "negative"
    if values.max() > train.sum():
        return "over_large"
    if (values.sum(axis=1) < EMPTY * train.sum(axis=1)).any():
        return "empty"
    return None


def judge(train: Counts, test: Counts, denoised: Any) -> dict[str, Any]:
    """{"reward", "failure", "metrics", "detail"}: the reward is `mse_norm`, cut to [0, 1], where both floors hold.

    `failure` names the first rule that was broken; "no_gain" is a legal answer that is no better than no denoising.
    """
    wrong = fault(train, denoised)
    if wrong is not None:
        return failed(wrong)
    figures = measure(train, test, np.asarray(denoised, dtype=np.float64))
    if figures["poisson_norm"] < POISSON_FLOOR:
        return failed("poisson", figures, f"poisson_norm {figures['poisson_norm']:.3f}, at least {POISSON_FLOOR:g} wanted")
    if figures["likelihood_norm"] < LIKELIHOOD_FLOOR:
        return failed("likelihood", figures, f"likelihood_norm {figures['likelihood_norm']:.3f}, at least 0 wanted")
    if figures["mse_norm"] < GAIN:
        return failed("no_gain", figures)
    return {"reward": min(1.0, figures["mse_norm"]), "failure": None, "metrics": figures, "detail": {}}


def failed(kind: str, figures: dict[str, float] | None = None, detail: str = "") -> dict[str, Any]:
    """The judgement of an answer that earns nothing."""
    return {"reward": 0.0, "failure": kind, "metrics": figures or {}, "detail": {"why": detail} if detail else {}}


def _between(worst: float, best: float, loss: float) -> float:
    """Where a loss stands from `worst` (0) to `best` (1); 0 on a scale without length."""
    return 0.0 if worst == best else (worst - loss) / (worst - best)
