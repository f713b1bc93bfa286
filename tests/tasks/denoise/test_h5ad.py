"""A user's counts. The file format itself is anndata's: where that is missing, what is said is tested."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from sia_tui.tasks.denoise import h5ad
from sia_tui.tasks.denoise.h5ad import as_counts, read_counts, read_pieces, tissue_of
from sia_tui.tasks.denoise.own_tissues import FEWEST, Cut, fill, folder_of
from sia_tui.tasks.denoise.simulator import Tissue
from sia_tui.tasks.denoise.store import KEY
from sia_tui.tasks.denoise.task import SPLITS, load
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


class File(SimpleNamespace):
    """What anndata reads of a file, as far as tissues are cut from it."""

    def __init__(self, counts: np.ndarray) -> None:
        donors = Donors([f"d{row // 50}" for row in range(len(counts))])
        super().__init__(X=np.log1p(counts), layers={"counts": sparse.csc_matrix(counts)}, obs={"donor": donors})


class Donors(list[str]):
    def astype(self, kind: type) -> list[str]:
        return [kind(value) for value in self]


def test_one_s_own_counts_are_cut_into_a_task(small: Tissue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = np.vstack([small.train + small.test] * 10)
    monkeypatch.setattr(h5ad, "_read", lambda path: File(whole))
    file = tmp_path / "mine.h5ad"
    file.write_bytes(b"its content names the folder")
    cut = Cut((file,), cells=len(whole) // 22)
    folder, said = folder_of(cut, tmp_path), list[str]()
    folder.mkdir()
    (folder / KEY).write_bytes(b"the same cut in every test")
    store = fill(cut, folder, said.append)
    task = load(folder, 0, 5, None)
    sizes = [len(task.ids(split)) for split in SPLITS]
    assert FEWEST <= sum(sizes) <= 22 and sizes[0] >= sum(sizes) // 2 and min(sizes) >= 2
    made = store.tissue("dev-00")
    assert made.train.shape[0] <= cut.cells and made.test.sum() > 0
    assert dict(task.cases[task.ids("dev")[0]].inputs)["cells"] == str(made.train.shape[0])
    assert fill(cut, folder, said.append).tissue("dev-00").train.tolist() == made.train.tolist()
    assert len([line for line in said if line.startswith("cutting")]) == 1
    (folder / "dev-00.npz").unlink()
    with pytest.raises(TaskError, match="is gone: remove"):
        store.tissue("dev-00")
    by_donor = list(read_pieces(file, None, "donor", 0, np.random.default_rng(0)))
    assert sum(len(piece) for piece in by_donor) == len(whole) and len(by_donor[0]) == 50
    with pytest.raises(TaskError, match="has no column 'batch' in obs: it has donor"):
        list(read_pieces(file, None, "batch", 0, np.random.default_rng(0)))
    with pytest.raises(TaskError, match=r"make \d tissues, at least 12 are needed"):
        fill(Cut((file,), cells=len(whole) // 2), tmp_path / "few", said.append)
