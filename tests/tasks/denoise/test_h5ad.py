"""A user's counts. The file format itself is anndata's: where that is missing, what is said is tested."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from sia_tui.tasks.denoise.h5ad import as_counts, read_counts, tissue_of
from sia_tui.tasks.denoise.simulator import Tissue
from sia_tui.tasks.task import TaskError

needs_anndata = pytest.mark.skipif(importlib.util.find_spec("anndata") is None, reason="anndata is not installed")


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(TaskError, match=r"pbmc.h5ad needs the package anndata: pip install 'sia-tui\[h5ad\]'"):
        read_counts(Path("pbmc.h5ad"))


def test_counts_come_dense_or_sparse_in_any_number_type() -> None:
    counts = np.random.default_rng(0).poisson(1.0, (5, 7))
    for matrix in (
        counts,
        counts.astype(np.float32),
        sparse.csr_matrix(counts),
        sparse.csc_matrix(counts.astype(float)),
    ):
        found = as_counts(matrix, "a file, X")
        assert found.dtype == np.int64 and (found == counts).all()


@pytest.mark.parametrize(
    "matrix",
    [
        np.log1p(np.arange(4.0)).reshape(2, 2),
        -np.ones((2, 2)),
        np.full((2, 2), np.nan),
        np.ones(3),
        np.full((2, 2), "a"),
    ],
)
def test_values_that_are_no_counts_are_refused_by_where_they_stand(matrix: np.ndarray) -> None:
    with pytest.raises(TaskError, match=r"pbmc\.h5ad, X: "):
        as_counts(matrix, "pbmc.h5ad, X")


def test_a_tissue_is_split_by_its_generator(small: Tissue) -> None:
    counts = small.train + small.test
    one, same = (tissue_of("pbmc", counts, np.random.default_rng(4)) for _ in range(2))
    assert (one.train == same.train).all() and one.rates is None
    assert one.train.shape == one.test.shape and (one.train.sum(axis=0) > 0).all()
    with pytest.raises(TaskError, match="at least"):
        tissue_of("pbmc", counts[:5], np.random.default_rng(4))


@needs_anndata
def test_layers_of_a_real_file(tmp_path: Path) -> None:
    import anndata

    counts = np.random.default_rng(0).poisson(1.0, (30, 40))
    path = tmp_path / "pbmc.h5ad"
    layers = {"counts": sparse.csr_matrix(counts), "twice": counts * 2}
    with anndata.settings.override(allow_write_nullable_strings=True):
        anndata.AnnData(X=np.log1p(counts), layers=layers).write_h5ad(path)
    assert (read_counts(path) == counts).all()
    assert (read_counts(path, "twice") == 2 * counts).all()
    with pytest.raises(TaskError, match="has no layer 'raw': it has counts, twice"):
        read_counts(path, "raw")


@needs_anndata
def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "pbmc.h5ad"
    path.write_bytes(b"no hdf5 at all")
    with pytest.raises(TaskError, match=r"is no readable \.h5ad file"):
        read_counts(path)
