"""What is to be computed: fresh inputs, and the answer in double precision.

The outgoing triangle multiplicative update (Abramson et al. 2024, AlphaFold 3, algorithm 12, as GPU MODE's TriMul poses
it), x [batch, n, n, dim], hidden channels h, LN a layer norm over the last axis with eps 1e-5, * elementwise:

    y = LN(x);  l = mask * sigmoid(y Wlg^T) * (y Wl^T);  r = mask * sigmoid(y Wrg^T) * (y Wr^T)
    t[i,j,h] = sum_k l[i,k,h] r[j,k,h];  out = (LN(t) * sigmoid(y Wog^T)) Wo^T

All in fp32, right within rtol = atol = 2e-2 of the double precision answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sia_tui.tasks.trimul.spec import Shape

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

EPS: Final = 1e-5
TOLERANCE: Final = 2e-2
"""Both relative and absolute; GPU MODE's."""
CAUCHY_SCALE: Final = 2.0

Inputs = dict[str, Floats]


def make_inputs(shape: Shape, rng: np.random.Generator) -> Inputs:
    """New inputs, weights included, by argument name."""
    made = {name: rng.standard_normal(size, dtype=np.float32) for name, size in shape.arguments.items()}
    if shape.distribution == "cauchy":
        uniform = rng.random(shape.arguments["x"], dtype=np.float32)
        made["x"] = (CAUCHY_SCALE * np.tan(np.pi * (uniform - np.float32(0.5)))).astype(np.float32)
    ones = np.ones(shape.arguments["mask"], dtype=np.float32)
    made["mask"] = rng.integers(0, 2, ones.shape).astype(np.float32) if shape.masked else ones
    for name in ("left", "right", "left_gate", "right_gate", "out_gate"):
        made[name] /= np.float32(shape.hidden**0.5)
    made["to_out"] /= np.float32(shape.dim**0.5)
    return made


def reference(inputs: Inputs) -> Doubles:
    """The answer [batch, n, n, dim] in float64."""
    given = {name: array.astype(np.float64) for name, array in inputs.items()}
    y = _layer_norm(given["x"], given["norm_weight"], given["norm_bias"])
    mask = given["mask"][..., None]
    left = mask * _sigmoid(y @ given["left_gate"].T) * (y @ given["left"].T)
    right = mask * _sigmoid(y @ given["right_gate"].T) * (y @ given["right"].T)
    by_channel = np.ascontiguousarray(left.transpose(0, 3, 1, 2)) @ right.transpose(0, 3, 2, 1)
    pairs = _layer_norm(by_channel.transpose(0, 2, 3, 1), given["out_norm_weight"], given["out_norm_bias"])
    return (pairs * _sigmoid(y @ given["out_gate"].T)) @ given["to_out"].T


def wrong(found: Floats, expected: Doubles) -> str | None:
    """What is wrong with an answer, in words with the first bad element; None when all of it is right."""
    finite = np.isfinite(found)
    bad = ~finite | (np.abs(np.where(finite, found, 0) - expected) > TOLERANCE + TOLERANCE * np.abs(expected))
    if not bad.any():
        return None
    place = tuple(int(index) for index in np.unravel_index(int(bad.argmax()), bad.shape))
    return f"{bad.mean():.2%} of the outputs are wrong; out{list(place)} is {found[place]:g}, not {expected[place]:g}"


def arithmetic(inputs: Inputs) -> int:
    """Floating point operations that no kernel can do without: those of the matrix products, less what the mask spares.

    A masked pair needs no left and right, and no product that either takes part in.
    """
    batch, n, _, dim = inputs["x"].shape
    hidden = inputs["left"].shape[0]
    seen = inputs["mask"] != 0
    by_k = seen.sum(axis=1, dtype=np.int64)
    triangle = hidden * int((by_k**2).sum())
    inward = 4 * dim * hidden * int(seen.sum())
    outward = 2 * dim * hidden * batch * n * n
    operations: int = 2 * (triangle + inward + outward)
    return operations


def traffic(shape: Shape) -> int:
    """Bytes that every kernel must at least read and write: x once, out once."""
    batch, n, dim, _ = shape.sizes
    return 2 * 4 * batch * n * n * dim


def placed(shape: Shape) -> Iterator[tuple[str, int, int]]:
    """(argument, first byte, bytes) for the inputs in one block of memory, each at a multiple of 64 bytes."""
    start = 0
    for name, size in shape.arguments.items():
        length = 4 * int(np.prod(size))
        yield name, start, length
        start += (length + 63) // 64 * 64


def _layer_norm(values: Doubles, weight: Doubles, bias: Doubles) -> Doubles:
    centred = values - values.mean(axis=-1, keepdims=True)
    scale: Doubles = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPS)
    normed: Doubles = centred / scale * weight + bias
    return normed


def _sigmoid(values: Doubles) -> Doubles:
    return 1.0 / (1.0 + np.exp(-values))
