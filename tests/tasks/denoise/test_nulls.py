"""The nulls against their papers' words, written out cell by cell."""

from __future__ import annotations

import numpy as np
import pytest

from sia_tui.tasks.denoise.nulls import diffusion, distances, knn_smoothing, magic, nearest, no_denoising, principal
from sia_tui.tasks.denoise.protocol import measure
from sia_tui.tasks.denoise.simulator import Tissue
from sia_tui.tasks.denoise.tuning import Settings, magic_with, mean_reward, tune


def points(cells: int, genes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(cells, genes))


def test_principal_axes_are_scikit_learns() -> None:
    from sklearn.decomposition import PCA

    values = points(30, 50)
    ours, axes = principal(values - values.mean(axis=0), 7)
    theirs = PCA(7, svd_solver="full").fit(values)
    assert np.abs(ours) == pytest.approx(np.abs(theirs.transform(values)), abs=1e-8)
    assert np.abs(axes) == pytest.approx(np.abs(theirs.components_), abs=1e-8)


def test_neighbours_are_scikit_learns() -> None:
    from sklearn.neighbors import NearestNeighbors

    values = points(40, 5)
    theirs = NearestNeighbors(n_neighbors=7).fit(values).kneighbors(values, return_distance=False)
    ours = nearest(values, 6)
    assert all(set(row) == set(other[1:]) for row, other in zip(ours.tolist(), theirs.tolist(), strict=True))


def test_the_kernel_cell_by_cell() -> None:
    values = points(25, 4)
    away = np.array([[float(np.linalg.norm(a - b)) for b in values] for a in values])
    assert distances(values) == pytest.approx(away, abs=1e-7)
    affinity = np.zeros((25, 25))
    for cell, row in enumerate(away):
        ranked = sorted(row)
        for other, distance in enumerate(row):
            value = np.exp(-((distance / ranked[3]) ** 2.0))
            if distance <= ranked[9] and value >= 1e-4:
                affinity[cell, other] = value
    affinity = (affinity + affinity.T) / 2
    expected = affinity / affinity.sum(axis=1, keepdims=True)
    assert diffusion(values, knn=3, decay=2.0) == pytest.approx(expected, abs=1e-7)


def test_magic_exact_is_powers_of_the_kernel_on_square_roots(small: Tissue) -> None:
    roots = np.sqrt(small.train)
    library = roots.sum(axis=1, keepdims=True)
    values = roots / library
    places, _ = principal(values - values.mean(axis=0), 20)
    expected = (np.linalg.matrix_power(diffusion(places, 4, 1.0), 2) @ values) ** 2 * library
    found = magic(small.train, knn=4, t=2, components=20, approximate=False)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


def test_magic_with_every_axis_is_exact(small: Tissue) -> None:
    exact = magic(small.train, components=1000, approximate=False)
    np.testing.assert_allclose(magic(small.train, components=1000), exact, rtol=1e-6, atol=1e-12)


def test_smoothing_adds_whole_neighbourhoods(small: Tissue) -> None:
    smoothed = knn_smoothing(small.train, k=7)
    assert (smoothed >= small.train).all() and (smoothed == np.rint(smoothed)).all()
    ratio = smoothed.sum() / small.train.sum()
    assert 4 < ratio < 12, "a sum over eight cells each"
    everyone = knn_smoothing(small.train, k=10_000)
    assert (everyone == small.train.sum(axis=0)).all()


def test_no_denoising_is_nought_and_diffusion_is_more(tissue: Tissue) -> None:
    assert measure(tissue.train, tissue.test, no_denoising(tissue.train))["mse_norm"] == 0.0
    assert measure(tissue.train, tissue.test, magic(tissue.train))["mse_norm"] > 0.05


def test_tuning_takes_the_best_of_the_grid(tissue: Tissue) -> None:
    grid = (Settings(), Settings(knn=3, t=1), Settings(knn=10, t=5))
    chosen = tune([tissue], grid)
    rewards = {settings: mean_reward(magic_with(settings), [tissue]) for settings in grid}
    assert rewards[chosen] == max(rewards.values()) and chosen in grid
    with pytest.raises(ValueError, match="at least one"):
        tune([], grid)
