"""A LoRA adapter added to its base's weights, one matrix in memory at a time whatever the model's size.

A merged matrix has the shape and the dtype of the base's. So the base's files are copied, index and all, and the bytes of
these matrices alone are written anew; what lies beside them in another form, such as gpt-oss's experts in MXFP4, stays.

Importing this costs no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sia_tui.policy.base import shards

FLOATS = ("F64", "F32", "F16", "BF16")
"""How safetensors calls what can be added to; the others are quantised."""
FACTOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
UNUSUAL = ("use_dora", "use_rslora", "lora_bias", "modules_to_save", "rank_pattern", "alpha_pattern", "fan_in_fan_out")
"""Fields of PEFT's configuration under which an adapter is more than scaling · B · A; the trainer sets none of them."""
INSTEAD = "export without --merge, and load the adapter beside its base"


class CannotMerge(Exception):
    """Why, and what to do instead, in one line."""


@dataclass(frozen=True)
class Matrix:
    """A tensor in one of a model's files."""

    shard: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    """In bytes from the start of the file."""


def targets(adapter: Path, config: Mapping[str, Any], base: Path) -> dict[str, Matrix]:
    """By module, the matrix of the base that the adapter changes; only the files' headers are read. Raises CannotMerge."""
    if config.get("target_parameters"):
        raise CannotMerge(f"the adapter changes experts' parameters, which are stored otherwise: {INSTEAD}")
    unusual = [name for name in UNUSUAL if config.get(name)] + ["bias"] * (config.get("bias", "none") != "none")
    if unusual:
        raise CannotMerge(f"the adapter is not plain LoRA ({', '.join(unusual)}): {INSTEAD}")
    matrices = {matrix.name: matrix for shard in shards(base) for matrix in _matrices(base / shard)}
    shapes = {factor.name: factor.shape for factor in _matrices(adapter)}
    found = {}
    for name in shapes:
        factor = FACTOR.fullmatch(name)
        if factor is None:
            raise CannotMerge(f"the adapter is not plain LoRA ({name}): {INSTEAD}")
        found[factor[1]] = _target(factor[1], shapes, matrices, base)
    return found


def _target(module: str, shapes: Mapping[str, tuple[int, ...]], matrices: Mapping[str, Matrix], base: Path) -> Matrix:
    matrix = matrices.get(f"{module}.weight")
    if matrix is None:
        raise CannotMerge(f"{base} stores no {module}.weight (it is quantised, or goes by another name): {INSTEAD}")
    if matrix.dtype not in FLOATS:
        raise CannotMerge(
            f"{base} is quantised: {matrix.name} is {matrix.dtype}; {INSTEAD}, or run on a copy of the base in bfloat16"
        )
    a, b = (shapes[name] for name in _factors(module))
    if matrix.shape != (b[0], a[1]):
        raise CannotMerge(f"{base}: {matrix.name} is {matrix.shape}, the adapter's {(b[0], a[1])}: {INSTEAD}")
    return matrix


def _factors(module: str) -> tuple[str, str]:
    return f"base_model.model.{module}.lora_A.weight", f"base_model.model.{module}.lora_B.weight"


def _matrices(file: Path) -> list[Matrix]:
    """https://huggingface.co/docs/safetensors: eight bytes of the header's size, the header in JSON, the tensors."""
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(size))
    header.pop("__metadata__", None)
    return [
        Matrix(file.name, name, told["dtype"], tuple(told["shape"]), 8 + size + told["data_offsets"][0])
        for name, told in header.items()
    ]


def add(adapter: Path, scaling: float, targets: Mapping[str, Matrix], base: Path, out: Path) -> None:
    """Into `out`, where the base's files lie copied: W + scaling · B · A (Hu et al. 2021, arXiv 2106.09685, §4.1), added in
    float32 (a base in float64: in that) and rounded once. Raises CannotMerge for an adapter that is not finite.
    """
    import torch
    from safetensors import safe_open

    with safe_open(adapter, "pt") as factors:
        for module, matrix in targets.items():
            a, b = (factors.get_tensor(name) for name in _factors(module))
            with safe_open(base / matrix.shard, "pt") as weights:
                before = weights.get_tensor(matrix.name)
            wide = torch.promote_types(before.dtype, torch.float32)
            after = (before.to(wide) + scaling * (b.to(wide) @ a.to(wide))).to(before.dtype)
            if not after.isfinite().all():
                raise CannotMerge(f"{matrix.name} is not finite with the adapter added: the adapter is broken")
            with (out / matrix.shard).open("r+b") as file:
                file.seek(matrix.start)
                file.write(after.contiguous().view(torch.uint8).numpy().data)
