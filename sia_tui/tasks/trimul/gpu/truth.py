"""Fresh inputs and the answer in double precision, where the candidate's memory is: `reference` in torch's words.

Everything here runs in the process that judges. Inputs are dicts of float32 tensors by the argument names of `spec`.
"""

from __future__ import annotations

import math
from typing import Any

from sia_tui.tasks.trimul.reference import CAUCHY_SCALE, EPS, TOLERANCE
from sia_tui.tasks.trimul.spec import Shape

Tensors = dict[str, Any]


def make_inputs(shape: Shape, generator: Any) -> Tensors:
    """New inputs, weights included, on the generator's device."""
    import torch

    there: dict[str, Any] = {"device": generator.device, "generator": generator}
    made = {name: torch.randn(size, **there) for name, size in shape.arguments.items()}
    if shape.distribution == "cauchy":
        made["x"] = CAUCHY_SCALE * torch.tan(math.pi * (torch.rand(shape.arguments["x"], **there) - 0.5))
    seen = torch.randint(0, 2, shape.arguments["mask"], **there)
    made["mask"] = seen.float() if shape.masked else torch.ones_like(seen, dtype=torch.float32)
    for name in ("left", "right", "left_gate", "right_gate", "out_gate"):
        made[name] /= shape.hidden**0.5
    made["to_out"] /= shape.dim**0.5
    return made


def reference(inputs: Tensors) -> Any:
    """The answer [batch, n, n, dim] in float64."""
    given = {name: tensor.double() for name, tensor in inputs.items()}
    y = _layer_norm(given.pop("x"), given["norm_weight"], given["norm_bias"])
    mask = given["mask"][..., None]
    left = mask * (y @ given["left_gate"].T).sigmoid() * (y @ given["left"].T)
    right = mask * (y @ given["right_gate"].T).sigmoid() * (y @ given["right"].T)
    by_channel = left.permute(0, 3, 1, 2) @ right.permute(0, 3, 2, 1)
    del left, right
    pairs = _layer_norm(by_channel.permute(0, 2, 3, 1), given["out_norm_weight"], given["out_norm_bias"])
    return (pairs * (y @ given["out_gate"].T).sigmoid()) @ given["to_out"].T


def wrong(found: Any, expected: Any) -> str | None:
    """What is wrong with an answer, in words with the first bad element; None when all of it is right."""
    bad = ~((found - expected).abs() <= TOLERANCE + TOLERANCE * expected.abs())
    if not bad.any():
        return None
    first = int(bad.reshape(-1).int().argmax())
    place: list[int] = []
    for size in reversed(bad.shape):
        first, index = divmod(first, size)
        place.insert(0, index)
    share = bad.sum().item() / bad.numel()
    at = tuple(place)
    return f"{share:.2%} of the outputs are wrong; out{place} is {found[at].item():g}, not {expected[at].item():g}"


def arithmetic(inputs: Tensors) -> int:
    """Floating point operations that no module can do without; as `reference.arithmetic`."""
    batch, n, _, dim = inputs["x"].shape
    hidden = inputs["left"].shape[0]
    seen = inputs["mask"] != 0
    triangle = hidden * int((seen.sum(dim=1) ** 2).sum())
    inward = 4 * dim * hidden * int(seen.sum())
    return int(2 * (triangle + inward + 2 * dim * hidden * batch * n * n))


def _layer_norm(values: Any, weight: Any, bias: Any) -> Any:
    centred = values - values.mean(-1, keepdim=True)
    return centred / ((centred**2).mean(-1, keepdim=True) + EPS).sqrt() * weight + bias
