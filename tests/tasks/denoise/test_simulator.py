from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sia_tui.tasks.denoise.nulls import magic
from sia_tui.tasks.denoise.protocol import judge
from sia_tui.tasks.denoise.simulator import RANGES, TISSUES, Ranges, Tissue, make_tissue, tissues
from tests.tasks.denoise.conftest import KEY, SMALL


def same(one: Tissue, other: Tissue) -> bool:
    return one.train.shape == other.train.shape and bool(
        (one.train == other.train).all() and (one.test == other.test).all()
    )


def test_a_tissue_is_its_keys() -> None:
    found = make_tissue("dev", 3, KEY, SMALL)
    assert same(found, make_tissue("dev", 3, KEY, SMALL))
    others = [("dev", 4, KEY), ("train", 3, KEY), ("dev", 3, b"another key")]
    assert not any(same(found, make_tissue(split, index, key, SMALL)) for split, index, key in others)  # type: ignore[arg-type]


def test_every_split_has_its_own_parameters_and_twenty_tissues_at_least() -> None:
    assert set(RANGES) == {"train", "dev", "hidden", "test"}
    assert len(set(RANGES.values())) == 4 and TISSUES >= 20
    assert [one.name for one in tissues("dev", KEY, 2, SMALL)] == ["dev-00", "dev-01"]


def test_a_tissue_is_counts_of_the_promised_size_without_empty_cells_or_genes(tissue: Tissue) -> None:
    ranges = RANGES["train"]
    cells, genes = tissue.train.shape
    assert 0.9 * ranges.cells[0] <= cells <= ranges.cells[1] and 0.5 * ranges.genes[0] <= genes <= ranges.genes[1]
    assert tissue.train.dtype == tissue.test.dtype == np.int64
    assert (
        tissue.test.shape == tissue.train.shape
        and tissue.rates is not None
        and tissue.rates.shape == tissue.train.shape
    )
    assert (tissue.train.sum(axis=0) > 0).all()
    assert (tissue.train.sum(axis=1) > 0).all() and (tissue.test.sum(axis=1) > 0).all()


def test_counts_scatter_as_a_negative_binomial_does() -> None:
    """With one type, no path, no programmes and no dropout every cell has the same rates: variance mu + dispersion mu^2."""
    flat = Ranges(
        cells=(1500, 1500),
        genes=(400, 400),
        markers=(0.0, 0.0),
        programmes=(0, 0),
        spread=(0.0, 0.0),
        dispersion=(0.25, 0.25),
        dropout=(0.0, 0.0),
    )
    found = make_tissue("train", 0, KEY, replace(flat, types=(2, 2), level=(1.0, 1.0), depth=(600.0, 600.0)))
    counts = found.train + found.test
    mean, variance = counts.mean(axis=0), counts.var(axis=0)
    high = mean > 1
    assert np.median((variance - mean)[high] / mean[high] ** 2) == pytest.approx(0.25, rel=0.1)


def test_dropout_empties_pairs_that_the_rate_alone_would_not() -> None:
    shares = []
    for dropout in ((0.0, 0.0), (0.2, 0.2)):
        found = make_tissue(
            "train", 1, KEY, replace(SMALL, depth=(600.0, 600.0), dispersion=(0.05, 0.05), dropout=dropout)
        )
        assert found.rates is not None
        expected = found.rates * (found.train + found.test).sum(axis=1, keepdims=True)
        shares.append(float((found.train == 0)[expected > 6].mean()))
    assert shares[0] < 0.02 < shares[1]


def test_tissues_meet_the_published_rule_with_magic_and_gain_by_it() -> None:
    for split in ("train", "dev"):
        for one in tissues(split, KEY, 2):
            verdict = judge(one.train, one.test, magic(one.train, knn=3, t=1))
            assert verdict["failure"] is None and verdict["reward"] > 0.05
