"""Made-up tissues: counts of cells by genes with cell types, a differentiation path, gene programmes and dropout.

Counts are negative binomial, a Poisson whose rate a Gamma has shaken: rate = library size x expression / total, with
variance mu + dispersion mu^2 (as in Splatter: Zappia, Phipson and Oshlack, Genome Biology 18:174, 2017). Expression is
a base level per gene times what a cell's type, its place on a path and its programmes make of it. A part of the molecules is
then lost whole, gene by cell, rarer where a gene is high (zero inflation). Parameters are drawn per tissue, from ranges
that differ between splits, so that what is tuned on train has to carry over.

Whoever knows the key can make the tissues again, held-out molecules included: it belongs with the gold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sia_tui.core.episodes import Split
from sia_tui.tasks.denoise.protocol import POISSON_FLOOR, Counts, Matrix, split_molecules, usable, vanishing_norm

Range = tuple[float, float]
TISSUES = 24
"""Of each split."""
DRAWS = 50
MARGIN = 0.005
HIGHEST = 2.2
"""Standard deviations above the mean at which base levels are cut: tissues without a gene that drowns the others."""


@dataclass(frozen=True)
class Ranges:
    """What the tissues of a split are drawn from, uniformly unless said otherwise."""

    cells: tuple[int, int] = (220, 300)
    genes: tuple[int, int] = (3000, 4200)
    """Thousands, because the loss is taken after scaling to 1e4 molecules: on a few hundred genes its logarithm is the
    whole story, and even the true rates score below no denoising."""
    types: tuple[int, int] = (3, 7)
    markers: Range = (0.10, 0.25)
    """Share of genes that tell a type from the others."""
    fold: Range = (0.8, 1.5)
    """Standard deviation of a marker's log fold change."""
    path: Range = (0.2, 0.5)
    """Share of the cells on their way from one type to another."""
    programmes: tuple[int, int] = (2, 5)
    activity: Range = (0.5, 1.0)
    """Standard deviation that a programme adds to a gene's log expression."""
    level: Range = (1.6, 1.9)
    """Standard deviation of the genes' log base level."""
    depth: Range = (1500.0, 3500.0)
    """Molecules of a median cell, log-uniform."""
    spread: Range = (0.3, 0.5)
    """Standard deviation of the log library size."""
    dispersion: Range = (0.05, 0.3)
    dropout: Range = (0.0, 0.1)
    """Share of gene-cell pairs that lose all their molecules, for a gene of median level."""


RANGES: Mapping[Split, Ranges] = {
    "train": Ranges(),
    "dev": Ranges(types=(4, 8), depth=(1400.0, 3800.0), programmes=(3, 6)),
    "hidden": Ranges(types=(3, 9), level=(1.5, 1.9), dispersion=(0.05, 0.4), path=(0.1, 0.6)),
    "test": Ranges(types=(4, 9), depth=(1300.0, 4000.0), dropout=(0.05, 0.15), fold=(0.7, 1.6)),
}


@dataclass(frozen=True)
class Tissue:
    """What a candidate is given (`train`), what it is judged by (`test`), and the rates behind both where they are known."""

    name: str
    train: Counts = field(repr=False)
    test: Counts = field(repr=False)
    rates: Matrix | None = field(default=None, repr=False)
    """Expected share of each gene among a cell's molecules, dropout left out."""


def tissues(split: Split, key: bytes, count: int = TISSUES, ranges: Ranges | None = None) -> list[Tissue]:
    """The first `count` tissues of a split; the same for the same key."""
    return [make_tissue(split, index, key, ranges or RANGES[split]) for index in range(count)]


def make_tissue(split: Split, index: int, key: bytes, ranges: Ranges) -> Tissue:
    """Drawn again while the published Poisson rule is out of reach (`vanishing_norm`); ValueError when all DRAWS are."""
    for draw in range(DRAWS):
        seed = hashlib.blake2b(f"{split}/{index}/{draw}".encode(), key=key[:64], digest_size=32).digest()
        found = _drawn(f"{split}-{index:02d}", np.random.default_rng(list(seed)), ranges)
        if vanishing_norm(found.train, found.test) >= POISSON_FLOOR + MARGIN:
            return found
    raise ValueError(f"no tissue of {DRAWS} draws meets the Poisson rule: lower `level` or `depth`")


def _drawn(name: str, rng: np.random.Generator, ranges: Ranges) -> Tissue:
    rates = _rates(rng, ranges)
    train, test = split_molecules(_counted(rng, ranges, rates), rng)
    cells, genes = usable(train, test)
    kept = np.ix_(cells, genes)
    return Tissue(name, train[kept], test[kept], rates[kept])


def _rates(rng: np.random.Generator, ranges: Ranges) -> Matrix:
    """Every gene's share of a cell's molecules, cells x genes; rows sum to 1."""
    cells, genes, types = (_whole(rng, bounds) for bounds in (ranges.cells, ranges.genes, ranges.types))
    profiles = _profiles(rng, ranges, types, genes)
    level = np.minimum(rng.normal(0.0, 1.0, genes), HIGHEST) * rng.uniform(*ranges.level)
    logs = level + _places(rng, ranges, profiles, cells)
    for _ in range(_whole(rng, ranges.programmes)):
        logs = logs + np.outer(_activity(rng, cells), _loadings(rng, ranges, genes))
    expression = np.exp(logs)
    return np.asarray(expression / expression.sum(axis=1, keepdims=True), dtype=np.float64)


def _profiles(rng: np.random.Generator, ranges: Ranges, types: int, genes: int) -> Matrix:
    """Log fold change of each type's markers, types x genes."""
    marked = rng.random((types, genes)) < rng.uniform(*ranges.markers)
    return np.asarray(marked * rng.normal(0.0, rng.uniform(*ranges.fold), (types, genes)), dtype=np.float64)


def _places(rng: np.random.Generator, ranges: Ranges, profiles: Matrix, cells: int) -> Matrix:
    """Each cell's log fold changes: its type's, or on the path a blend, gene by gene at a time of the gene's own."""
    types, genes = profiles.shape
    kinds = rng.choice(types, cells, p=rng.dirichlet(np.full(types, 3.0)))
    found = profiles[kinds]
    moving = rng.random(cells) < rng.uniform(*ranges.path)
    start, end = rng.choice(types, 2, replace=False)
    time = rng.random((int(moving.sum()), 1))
    switched = 1.0 / (1.0 + np.exp(-(time - rng.uniform(0.2, 0.8, genes)) / 0.1))
    found[moving] = (1 - switched) * profiles[start] + switched * profiles[end]
    return found


def _activity(rng: np.random.Generator, cells: int) -> Matrix:
    """A programme's course over the cells, of mean 0 and about unit size: a cycle, or a few cells that are active."""
    if rng.random() < 0.5:
        return np.asarray(np.sqrt(2.0) * np.sin(2 * np.pi * rng.random(cells)), dtype=np.float64)
    return np.asarray(rng.gamma(1.0, 1.0, cells) - 1.0, dtype=np.float64)


def _loadings(rng: np.random.Generator, ranges: Ranges, genes: int) -> Matrix:
    """How strongly each gene follows a programme; most do not."""
    follows = rng.random(genes) < rng.uniform(0.1, 0.3)
    return np.asarray(follows * rng.normal(0.0, rng.uniform(*ranges.activity), genes), dtype=np.float64)


def _counted(rng: np.random.Generator, ranges: Ranges, rates: Matrix) -> Counts:
    """Molecules seen: negative binomial around library size times rate, less what dropout takes."""
    cells = len(rates)
    depth = np.exp(rng.uniform(*np.log(ranges.depth)))
    library = depth * np.exp(rng.normal(0.0, rng.uniform(*ranges.spread), (cells, 1)))
    dispersion = rng.uniform(*ranges.dispersion)
    shaken = rng.gamma(1.0 / dispersion, dispersion, rates.shape)
    seen = rng.poisson(library * rates * shaken)
    share = rng.uniform(*ranges.dropout)
    level = rates.mean(axis=0)
    lost = rng.random(rates.shape) < np.minimum(1.0, share * np.sqrt(np.median(level) / level))
    return np.asarray(np.where(lost, 0, seen), dtype=np.int64)


def _whole(rng: np.random.Generator, bounds: tuple[int, int]) -> int:
    return int(rng.integers(bounds[0], bounds[1] + 1))
