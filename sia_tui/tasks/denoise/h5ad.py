"""A user's own tissue: counts out of an .h5ad file, read with `anndata` where that is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sia_tui.tasks.denoise.protocol import Counts, split_molecules, usable
from sia_tui.tasks.denoise.simulator import Tissue
from sia_tui.tasks.task import TaskError

FEWEST = (20, 20)
"""Cells and genes with molecules on both sides, below which a tissue says nothing."""


def read_counts(path: Path, layer: str | None = None) -> Counts:
    """The counts of a file, cells x genes: of `layer`, else of the layer "counts" where there is one, else of X.

    TaskError where anndata is missing, the file cannot be read, or what it holds are no counts.
    """
    matrix, where = _matrix(_read(path), path, layer)
    return as_counts(matrix, where)


def read_pieces(
    path: Path, layer: str | None, by: str | None, cells: int, rng: np.random.Generator
) -> Iterator[Counts]:
    """The cells in pieces: by a column of obs, such as donor or batch, else `cells` at a time as `rng` shuffles them.
    Raises TaskError."""
    read = _read(path)
    matrix, where = _matrix(read, path, layer)
    if by is not None and by not in read.obs:
        raise TaskError(f"{path.name} has no column {by!r} in obs: it has {', '.join(map(str, read.obs)) or 'none'}")
    if by is not None:
        values = np.asarray(read.obs[by].astype(str))
        chosen = [np.flatnonzero(values == value) for value in sorted(set(values))]
    else:
        order = rng.permutation(matrix.shape[0])
        chosen = [order[at : at + cells] for at in range(0, len(order) - cells + 1, cells)]
    # One piece at a time: a whole file need not fit into memory as a dense matrix.
    rows = matrix.tocsr() if hasattr(matrix, "tocsr") else matrix
    for piece in chosen:
        yield as_counts(rows[np.sort(piece)], where)


def _read(path: Path) -> Any:
    try:
        import anndata
    except ImportError:
        raise TaskError(f"{path.name} needs the package anndata: pip install 'sia-tui[h5ad]'") from None
    try:
        return anndata.read_h5ad(path)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise TaskError(f"{path} is no readable .h5ad file: {_line(error)}") from None


def _matrix(read: Any, path: Path, layer: str | None) -> tuple[Any, str]:
    """Cells x genes, dense or sparse, and where it stands."""
    if layer is not None and layer not in read.layers:
        raise TaskError(f"{path.name} has no layer {layer!r}: it has {', '.join(read.layers) or 'none'}")
    name = layer or ("counts" if "counts" in read.layers else None)
    return read.X if name is None else read.layers[name], f"{path.name}, {name or 'X'}"


def as_counts(matrix: Any, where: str) -> Counts:
    """A dense matrix of whole numbers; TaskError for values that are none, naming `where` they stand."""
    dense = np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)
    if dense.ndim != 2 or dense.dtype.kind not in "fiub":
        raise TaskError(f"{where}: no matrix of numbers")
    if not np.isfinite(dense).all() or (dense < 0).any() or (dense != np.floor(dense)).any():
        raise TaskError(f"{where}: values are no counts of molecules: name the layer that holds raw counts")
    return dense.astype(np.int64)


def tissue_of(name: str, counts: Counts, rng: np.random.Generator) -> Tissue:
    """One tissue, its molecules split by `rng`, whose seed belongs with the gold. TaskError for one that is too small."""
    train, test = split_molecules(counts, rng)
    cells, genes = usable(train, test)
    if cells.sum() < FEWEST[0] or genes.sum() < FEWEST[1]:
        raise TaskError(
            f"{name}: {cells.sum()} cells and {genes.sum()} genes have molecules, at least {FEWEST} are needed"
        )
    kept = np.ix_(cells, genes)
    return Tissue(name, train[kept], test[kept])


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
