"""A plan as the Python function that the verifier sees: only the steps that the plan takes, numpy alone."""

from __future__ import annotations

from sia_tui.tasks.denoise.grammar import Plan

HELD = "1 / 9"
"""Held-out molecules of a cell to those it is given: (1 - TRAIN_FRACTION) / TRAIN_FRACTION."""

_DEPTH = {
    "one": "np.ones_like(library)",
    "median": "np.full_like(library, np.median(library))",
    "held": f"library * ({HELD})",
    "fixed": "np.full_like(library, 1e4)",
}
_FORM = {
    "plain": ("x", "y"),
    "sqrt": ("np.sqrt(x)", "y**2"),
    "tukey": ("np.sqrt(x) + np.sqrt(x + 1) - 1", "(((y + 1) ** 2 - 1) / (2 * (y + 1))) ** 2"),
    "log": ("np.log1p(x)", "np.expm1(np.minimum(y, 30.0))"),
}
_KERNEL = {"box": "np.ones_like(away)", "decay": "np.exp(-away / reach)", "gauss": "np.exp(-((away / reach) ** 2))"}

_HEAD = '''\
import numpy as np


def forward(x):
    return {forward}


def backward(y):
    return {backward}


def principal(values, count):
    """Coordinates on the first principal axes, and the axes."""
    squares, left = np.linalg.eigh(values @ values.T)
    order = np.argsort(squares)[::-1][:count]
    order = order[squares[order] > 1e-12 * max(squares.max(), 1e-300)]
    sizes = np.sqrt(squares[order])
    return left[:, order] * sizes, (left[:, order].T @ values) / sizes[:, None]
'''

_PLAIN = """

def transformed(counts, library, depth):
    return forward(counts / library * depth)
"""

_THIN = '''

def transformed(counts, library, depth):
    """The value expected of a cell's counts when each molecule is kept with the held-out share."""
    share = {held}
    keep = share / (1 + share)
    unit = depth / (library * keep)
    rows, columns = np.nonzero(counts)
    k, worth = counts[rows, columns], unit[rows, 0]
    large = k > 200
    chance, found = np.where(large, 0.0, (1 - keep) ** k), np.zeros(len(k))
    for kept in range(1, int(k[~large].max(initial=0)) + 1):
        chance = chance * np.maximum(k - kept + 1, 0) / kept * (keep / (1 - keep))
        found += chance * forward(kept * worth)
    found[large] = forward(k[large] * keep * worth[large])
    values = np.zeros_like(counts)
    values[rows, columns] = found
    return values
'''

_GRAPH = '''

def operator(places, knn, library):
    """The Markov matrix of a neighbourhood graph over cells."""
    squares = (places**2).sum(axis=1)
    away = np.sqrt(np.maximum(squares[:, None] + squares - 2 * places @ places.T, 0))
    np.fill_diagonal(away, 0)
    reach = np.maximum(np.sort(away, axis=1)[:, [min(knn, len(away) - 1)]], 1e-12)
    weights = np.where(away <= reach, {kernel}, 0)
    weights = weights + weights.T
{weigh}    return weights / weights.sum(axis=1, keepdims=True)
'''

_POISSON = '''

def factorised(values, rank):
    """Non-negative factors by multiplicative updates of the Poisson likelihood, begun at the principal axes."""
    places, axes = principal(values, rank)
    left, right = np.abs(places) + 1e-6, np.abs(axes) + 1e-6
    for _ in range(12):
        right *= (left.T @ (values / (left @ right + 1e-9))) / left.sum(axis=0)[:, None]
        left *= ((values / (left @ right + 1e-9)) @ right.T) / right.sum(axis=1)
    return left @ right
'''

_SVD = '''

def factorised(values, rank):
    """The nearest matrix of that rank around the genes' means, by least squares."""
    mean = values.mean(axis=0)
    places, axes = principal(values - mean, rank)
    return places @ axes + mean
'''


def render(plan: Plan) -> str:
    """Python source with `def denoise(counts)`; deterministic, and legal on any counts without empty cells."""
    forward, backward = _FORM[plan.form]
    graph = plan.steps != "0"
    parts = [_HEAD.format(forward=forward, backward=backward)]
    parts.append(_THIN.format(held=HELD) if plan.thin == "yes" else _PLAIN)
    if graph:
        weigh = "    weights = weights * library.T\n" if plan.weigh == "library" else ""
        parts.append(_GRAPH.format(kernel=_KERNEL[plan.kernel], weigh=weigh))
    if plan.rank != "none":
        parts.append(_POISSON if plan.fit == "poisson" else _SVD)
    lines = [
        "counts = counts.astype(float)",
        "library = counts.sum(axis=1, keepdims=True)",
        f"depth = {_DEPTH[plan.depth]}",
        "values = transformed(counts, library, depth)",
        "smooth = values",
        *(_diffusion(plan) if graph else ()),
        *(_finishing(plan)),
    ]
    return "".join(parts) + "\n\ndef denoise(counts):\n" + "".join(f"    {line}\n" for line in lines)


def _diffusion(plan: Plan) -> list[str]:
    sizes = ", ".join(str(int(plan.knn) * 2**power) for power in range(int(plan.bag)))
    lines = [
        f"places, _ = principal(values - values.mean(axis=0), {plan.axes})",
        f"graphs = [operator(places, knn, library) for knn in ({sizes},)]",
        f"powers = [np.linalg.matrix_power(graph, {plan.steps}) for graph in graphs]",
        "smooth = sum(powers) / len(powers) @ values",
    ]
    return lines + ([f"smooth = {plan.keep} * values + (1 - {plan.keep}) * smooth"] if plan.keep != "0" else [])


def _finishing(plan: Plan) -> list[str]:
    lines: list[str] = []
    if plan.rank != "none":
        lines.append(f"smooth = factorised(smooth, {plan.rank})")
    if plan.shrink == "gene":
        lines += [
            "noise = ((values - smooth) ** 2).mean(axis=0)",
            "signal = smooth.var(axis=0)",
            f"weight = signal / np.maximum(signal + noise / {plan.knn}, 1e-12)",
            "smooth = smooth.mean(axis=0) + weight * (smooth - smooth.mean(axis=0))",
        ]
    if plan.floor == "noise":
        lines += ["small = smooth < np.abs(np.minimum(smooth.min(axis=0), 0))", "smooth = np.where(small, 0, smooth)"]
    lines.append("found = backward(np.maximum(smooth, 0))")
    if plan.power != "1":
        lines.append(f"found = found ** {plan.power}")
    lines.append("empty = found.sum(axis=1, keepdims=True) <= 1e-100")
    lines.append("found = np.where(empty, counts, found)")
    lines.append("found = found / found.sum(axis=1, keepdims=True) * library")
    if plan.floor == "tenth":
        lines += _unless_empty("np.where(found < 0.1, 0, found)")
    if plan.round == "yes":
        lines += _unless_empty("np.rint(found)")
    if plan.total == "one":
        lines.append("found = found / found.sum(axis=1, keepdims=True)")
    return [*lines, "return found"]


def _unless_empty(changed: str) -> list[str]:
    """Change the values, but for cells that nothing would be left of."""
    return [
        f"changed = {changed}",
        "found = np.where(changed.sum(axis=1, keepdims=True) > 0, changed, found)",
    ]
