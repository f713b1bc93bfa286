"""How well a denoised matrix predicts molecules that were held out: molecular cross-validation as OpenProblems runs it.

Sources: Batson, Royer and Webber, "Molecular Cross-Validation for Single-Cell RNA-seq" (bioRxiv 786269, 2019); the
denoising task of OpenProblems v1.0.0 (split fraction 0.9, the two losses); Yuksekgonul et al., TTT-Discover (arXiv
2601.16175), for the total of 1e4 molecules a cell, the rejections and the rule `poisson_norm >= 0.97`.

Cells are rows and genes columns, everywhere. Pure: no randomness but the generator handed in.

What the two published losses ask, plainly:

- OpenProblems calls the Poisson loss with its arguments exchanged: the logarithm is taken of the *held-out* counts. That loss
  is linear in the answer, so no denoising and the true rates score alike (about 0 on the normalised scale), and what
  reaches 0.97 is an answer whose values are tiny: MAGIC's are, because it divides by library size before it squares.
- The squared error is taken after every cell is scaled to a total. A denoised cell spreads its molecules over more genes
  than the held-out cell has, so that heaping them on a few genes, even on one, pays more than denoising does.

Both are kept as published, so that figures can be compared. The second is what `likelihood_norm` is for: the Poisson loss with
its arguments in their places and the answer's total set right, which no answer improves but by predicting molecules.
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
LIKELIHOOD_FLOOR = 0.9
"""MAGIC, whose root and square heap molecules a little, keeps above it; an exponent of 1.25 on a good answer does not."""
GAIN = 1e-6
"""The least `mse_norm` that is more than rounding."""
EMPTY = 1e-9
"""A cell's total, as a share of its own train molecules, below which the cell counts as left empty."""


def split_molecules(
    counts: Counts, rng: np.random.Generator, fraction: float = TRAIN_FRACTION
) -> tuple[Counts, Counts]:
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


def vanishing_norm(train: Counts, test: Counts) -> float:
    """The `poisson_norm` that an answer nears as it shrinks, its loss nearing mean(test): below POISSON_FLOOR on counts of
    which a few genes hold most, and then no answer in the manner of MAGIC can be paid."""
    ends = Yardstick.of(train, test)
    return _between(ends.poisson, ends.perfect_poisson, float(np.mean(test)))


def likelihood(test: Counts, denoised: Matrix) -> float:
    """mean(d - test log(d + EPSILON)) in nats, d the answer scaled to the molecules of `test`: a Poisson's, up to a constant."""
    values = np.asarray(denoised, dtype=np.float64)
    scaled = values * (test.sum() / values.sum())
    return float(np.mean(scaled - test * np.log(scaled + EPSILON)))


def mean_profile(train: Counts) -> Matrix:
    """What knows nothing of a cell but its library size: the tissue's mean profile at that size."""
    return np.outer(train.sum(axis=1), train.sum(axis=0) / train.sum())


@dataclass(frozen=True)
class Yardstick:
    """A tissue's marks on each scale: no denoising, the held-out counts themselves, and the mean profile."""

    mse: float
    poisson: float
    perfect_poisson: float
    likelihood: float
    mean_likelihood: float

    @classmethod
    def of(cls, train: Counts, test: Counts) -> Yardstick:
        same = train.astype(np.float64)
        return cls(
            mse(test, same),
            poisson(train, test, same),
            poisson(train, test, test.astype(np.float64)),
            likelihood(test, same),
            likelihood(test, mean_profile(train)),
        )


def measure(train: Counts, test: Counts, denoised: Matrix, ends: Yardstick | None = None) -> dict[str, float]:
    """Every figure of a legal answer; nothing is clipped. `ends` are the tissue's, where they are known already.

    `mse_norm` and `poisson_norm`: 0 is no denoising, 1 the held-out counts. `likelihood_norm`: 1 is the mean profile and 0 no
    denoising (2 where no denoising is the better of the two, as on very deep counts). `scale`: the answer's total over train's.
    """
    ends = ends or Yardstick.of(train, test)
    unit = abs(ends.likelihood - ends.mean_likelihood)
    return {
        "mse_norm": 1.0 - mse(test, denoised) / ends.mse,
        "poisson_norm": _between(ends.poisson, ends.perfect_poisson, poisson(train, test, denoised)),
        "likelihood_norm": 1.0 + (ends.mean_likelihood - likelihood(test, denoised)) / max(unit, 1e-12),
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


def judge(train: Counts, test: Counts, denoised: Any, ends: Yardstick | None = None) -> dict[str, Any]:
    """{"reward", "failure", "metrics", "detail"}: the reward is `mse_norm`, cut to [0, 1], where both floors hold.

    `failure` names the first rule that was broken; "no_gain" is a legal answer that is no better than no denoising.
    """
    wrong = fault(train, denoised)
    if wrong is not None:
        return failed(wrong)
    figures = measure(train, test, np.asarray(denoised, dtype=np.float64), ends)
    if figures["mse_norm"] < GAIN:
        return failed("no_gain", figures)
    for kind, floor in (("poisson", POISSON_FLOOR), ("likelihood", LIKELIHOOD_FLOOR)):
        had = figures[f"{kind}_norm"]
        if had < floor:
            return failed(kind, figures, f"{kind}_norm {had:.3f}, at least {floor:g} wanted")
    return {"reward": min(1.0, figures["mse_norm"]), "failure": None, "metrics": figures, "detail": {}}


def failed(kind: str, figures: dict[str, float] | None = None, detail: str = "") -> dict[str, Any]:
    """The judgement of an answer that earns nothing."""
    return {"reward": 0.0, "failure": kind, "metrics": figures or {}, "detail": {"why": detail} if detail else {}}


def _between(worst: float, best: float, loss: float) -> float:
    """Where a loss stands from `worst` (0) to `best` (1); 0 on a scale without length."""
    return 0.0 if abs(worst - best) < 1e-12 else (worst - loss) / (worst - best)
