"""The cases: problem sizes scaled to tens of milliseconds of the naive kernel on one core.

Test are the seven sizes GPU MODE ranks by, n and batch as published over 8, channels over 4. Train, dev and hidden are
other sizes, dealt by a seed, no size twice; what the inputs are drawn from and whether there is a mask is dealt with them.
The inputs themselves are new whenever a case is judged.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final, get_args

from sia_tui.core.episodes import Case, Split
from sia_tui.tasks.task import TaskError
from sia_tui.tasks.trimul.spec import Distribution, Shape

NAME: Final = "trimul"

Sizes = tuple[int, int, int, int]
"""Batch, n, dim, hidden."""

PUBLISHED: Final = (
    Shape(2, 256, 128, 128, "normal", False),
    Shape(1, 768, 128, 128, "cauchy", False),
    Shape(2, 256, 384, 128, "normal", True),
    Shape(1, 512, 128, 128, "normal", False),
    Shape(1, 1024, 128, 128, "cauchy", False),
    Shape(1, 768, 384, 128, "normal", True),
    Shape(1, 1024, 384, 128, "normal", False),
)
"""GPU MODE's benchmark (gpu-mode/reference-kernels, problems/bioml/trimul)."""

N_OVER, CHANNELS_OVER = 8, 4
_BATCHES, _NS, _CHANNELS = (1, 2), tuple(range(40, 137, 8)), (16, 24, 32, 48, 64)
_WORK: Final = (30e6, 300e6)
"""Fewest and most floating point operations of a case: 5 to 60 ms of the naive kernel on the machine this was written on."""


def scaled(shape: Shape) -> Shape:
    n, dim, hidden = shape.n // N_OVER, shape.dim // CHANNELS_OVER, shape.hidden // CHANNELS_OVER
    return Shape(shape.batch, n, dim, hidden, shape.distribution, shape.masked)


def make_cases(seed: int, train: int, dev: int, hidden: int, folds: int) -> tuple[Case, ...]:
    """Those of every split, in that number. Raises TaskError for too many."""
    sealed = [scaled(shape) for shape in PUBLISHED]
    return dealt(NAME, sealed, _sizes(), seed, train, dev, hidden, folds)


def dealt(
    name: str,
    sealed: Sequence[Shape],
    all_sizes: Sequence[Sizes],
    seed: int,
    train: int,
    dev: int,
    hidden: int,
    folds: int,
) -> tuple[Case, ...]:
    """A task's cases: `sealed` are test; train cases get a fold each in turn. Raises TaskError for too many."""
    sizes = [size for size in all_sizes if size not in {shape.sizes for shape in sealed}]
    if train + dev + hidden > len(sizes):
        raise TaskError(
            f"TriMul has {len(sizes)} sizes besides test's: ask for fewer than {train + dev + hidden} cases"
        )
    rng = Random(f"{name}-{seed}")
    rng.shuffle(sizes)
    drawn = [Shape(*size, rng.choice(get_args(Distribution)), rng.random() < 0.5) for size in sizes]
    made = [_case(name, shape, "dev") for shape in drawn[:dev]]
    made += [_case(name, shape, "hidden") for shape in drawn[dev : dev + hidden]]
    made += [_case(name, shape, "train", place % folds) for place, shape in enumerate(drawn[dev + hidden :][:train])]
    return (*made, *(_case(name, shape, "test") for shape in sealed))


def shape_of(inputs: Mapping[str, str]) -> Shape:
    """What a case's inputs say. Raises TaskError for what no case says."""
    try:
        batch, n, dim, hidden = (int(inputs[name]) for name in ("batch", "n", "dim", "hidden"))
        distribution: Distribution = {one: one for one in get_args(Distribution)}[inputs["distribution"]]
        return Shape(batch, n, dim, hidden, distribution, {"yes": True, "no": False}[inputs["mask"]])
    except (KeyError, ValueError) as error:
        raise TaskError(f"no TriMul case has these inputs: {error}") from None


def _sizes() -> list[Sizes]:
    least, most = _WORK
    every = itertools.product(_BATCHES, _NS, _CHANNELS, _CHANNELS)
    return [size for size in every if least <= _operations(*size) <= most]


def _operations(batch: int, n: int, dim: int, hidden: int) -> int:
    return 2 * batch * n * n * hidden * (n + 6 * dim)


def _case(name: str, shape: Shape, split: Split, fold: int | None = None) -> Case:
    inputs = {it: str(getattr(shape, it)) for it in ("batch", "n", "dim", "hidden", "distribution")}
    inputs["mask"] = "yes" if shape.masked else "no"
    id = hashlib.sha256(f"{name}\0{shape}".encode()).hexdigest()[:16]
    return Case(id, split, inputs, fold)
