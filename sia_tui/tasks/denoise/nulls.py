"""What needs no model: no denoising, kNN smoothing and MAGIC, our own from their papers.

numpy only; cells are rows. Each takes and returns counts or counts-like values of the same shape, at least 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sia_tui.tasks.denoise.protocol import Counts, Matrix


def no_denoising(counts: Counts) -> Matrix:
    """The counts themselves."""
    return counts.astype(np.float64)


def knn_smoothing(counts: Counts, k: int = 10, components: int = 10) -> Matrix:
    """Counts summed over ever larger neighbourhoods (Wagner, Yan and Yanai, bioRxiv 217737, algorithm 2).

    In steps of 1, 3, 7, …, k neighbours: smoothed counts are scaled to the median total, Freeman-Tukey transformed
    (sqrt x + sqrt(x + 1)), projected on `components` principal axes; then every cell becomes the sum of the *raw* counts of
    itself and its nearest in that space. Sums, not means: totals grow with k + 1.
    """
    raw = counts.astype(np.float64)
    smoothed, step, k = raw, 1, min(k, len(raw) - 1)
    while True:
        size = min(2**step - 1, k)
        totals = smoothed.sum(axis=1, keepdims=True)
        levelled = smoothed * (np.median(totals) / totals)
        transformed = np.sqrt(levelled) + np.sqrt(levelled + 1)
        near = nearest(principal(transformed - transformed.mean(axis=0), components)[0], size)
        smoothed = raw + raw[near].sum(axis=1)
        if size == k:
            return np.asarray(smoothed, dtype=np.float64)
        step += 1


def magic(
    counts: Counts,
    knn: int = 5,
    t: int = 3,
    decay: float = 1.0,
    components: int = 100,
    approximate: bool = True,
    reverse: bool = True,
) -> Matrix:
    """Diffusion over a graph of cells (MAGIC: van Dijk et al., Cell 174:716, 2018), as OpenProblems' wrapper calls it.

    sqrt and library size (the other way round unless `reverse`), `components` principal axes, distances there, an affinity
    exp(-(d / d_knn)^decay) cut at 1e-4 and at 3 knn neighbours, symmetrised by its mean, rows made to sum to 1, `t` powers;
    then squared and multiplied by library size. `approximate` diffuses the principal coordinates, not the genes.
    """
    raw = counts.astype(np.float64)
    values = np.sqrt(raw) if reverse else raw
    library = values.sum(axis=1, keepdims=True)
    values = values / library
    values = values if reverse else np.sqrt(values)
    mean = values.mean(axis=0)
    coordinates, axes = principal(values - mean, components)
    operator = diffusion(coordinates, knn, decay)
    moved = coordinates if approximate else values
    for _ in range(t):
        moved = operator @ moved
    found = moved @ axes + mean if approximate else moved
    return np.asarray(found**2 * library, dtype=np.float64)


def diffusion(coordinates: Matrix, knn: int, decay: float, widest: int = 3) -> Matrix:
    """The Markov matrix of the adaptive kernel; bandwidth is the distance of the knn-th neighbour, oneself not counted."""
    away = distances(coordinates)
    cells = len(away)
    knn = min(knn, cells - 1)
    ordered = np.sort(away, axis=1)
    affinity = np.exp(-((away / np.maximum(ordered[:, [knn]], 1e-12)) ** decay))
    affinity[away > ordered[:, [min(widest * knn, cells - 1)]]] = 0.0
    affinity[affinity < 1e-4] = 0.0
    affinity = (affinity + affinity.T) / 2
    return np.asarray(affinity / affinity.sum(axis=1, keepdims=True), dtype=np.float64)


def principal(centred: Matrix, components: int) -> tuple[Matrix, Matrix]:
    """Coordinates on the first principal axes, cells x components, and the axes, components x genes.

    Through the cells x cells Gram matrix, which is far smaller than genes; directions of no variance are left out.
    """
    squares, left = np.linalg.eigh(centred @ centred.T)
    order = np.argsort(squares)[::-1][: min(components, *centred.shape)]
    order = order[squares[order] > 1e-12 * max(squares.max(), 1e-300)]
    sizes = np.sqrt(squares[order])
    return left[:, order] * sizes, (left[:, order].T @ centred) / sizes[:, None]


def distances(coordinates: Matrix) -> Matrix:
    """Euclidean, all pairs."""
    squares = (coordinates**2).sum(axis=1)
    found = squares[:, None] + squares - 2 * coordinates @ coordinates.T
    np.fill_diagonal(found, 0.0)
    return np.asarray(np.sqrt(np.maximum(found, 0.0)), dtype=np.float64)


def nearest(coordinates: Matrix, k: int) -> NDArray[np.int64]:
    """The k nearest other cells of each, cells x k."""
    away = distances(coordinates)
    np.fill_diagonal(away, np.inf)
    return np.asarray(np.argpartition(away, k - 1, axis=1)[:, :k], dtype=np.int64)
