"""Nested values with tensors at their leaves, as one file of safetensors: numbers, and no code that could run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

SHAPE = "shape"
"""The metadata that says how the tensors hang together."""


def write(path: Path, value: Any) -> None:
    """Dicts, lists and tuples of tensors, arrays and what JSON has. Raises TypeError for anything else."""
    tensors: dict[str, torch.Tensor] = {}
    shape = _shape(value, tensors)
    save_file(tensors, path, metadata={SHAPE: json.dumps(shape)})


def read(path: Path) -> Any:
    """What was written, tensors on the CPU. Raises SafetensorError and ValueError for what is no such file, OSError."""
    with safe_open(path, "pt") as file:
        return _value(json.loads((file.metadata() or {})[SHAPE]), file)


def _shape(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """By the kind of each value, since JSON knows no tuples and no keys but text; tensors and arrays by their number."""
    match value:
        case torch.Tensor() | np.ndarray():
            name = str(len(tensors))
            array = isinstance(value, np.ndarray)
            tensors[name] = torch.from_numpy(value) if isinstance(value, np.ndarray) else value.detach().contiguous()
            return {"array" if array else "tensor": name}
        case dict():
            return {"dict": [[_shape(key, tensors), _shape(kept, tensors)] for key, kept in value.items()]}
        case list() | tuple():
            return {type(value).__name__: [_shape(kept, tensors) for kept in value]}
        case None | bool() | int() | float() | str():
            return {"is": value}
    raise TypeError(f"{type(value).__name__} is kept in no file")


def _value(shape: dict[str, Any], file: Any) -> Any:
    [(kind, kept)] = shape.items()
    match kind:
        case "tensor":
            return file.get_tensor(kept)
        case "array":
            return file.get_tensor(kept).numpy()
        case "dict":
            return {_value(key, file): _value(value, file) for key, value in kept}
        case "list" | "tuple":
            found = [_value(value, file) for value in kept]
            return found if kind == "list" else tuple(found)
        case "is":
            return kept
    raise ValueError(f"{kind!r} is no kind of value")
