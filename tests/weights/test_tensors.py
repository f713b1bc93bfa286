"""What a training goes on from is kept as numbers, and comes back as it was."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from transformers import Trainer

from sia_tui.weights.tensors import read, write
from sia_tui.weights.unpickled import Unpickled

TENSORS = st.lists(st.floats(width=32), max_size=4).map(torch.tensor)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS | TENSORS | st.lists(st.integers(0, 9), max_size=3).map(lambda found: np.array(found, dtype=np.uint32)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def told(value: Any) -> Any:
    """Comparable bit by bit."""
    match value:
        case torch.Tensor():
            return "tensor", value.dtype, value.shape, value.numpy().tobytes()
        case np.ndarray():
            return "array", value.dtype, value.shape, value.tobytes()
        case dict():
            return [(told(key), told(kept)) for key, kept in value.items()]
        case list() | tuple():
            return type(value), [told(kept) for kept in value]
    return type(value), repr(value)


@given(VALUES)
def test_whatever_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "value.safetensors"
    write(path, value)
    assert told(read(path)) == told(value)


def test_what_is_no_plain_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="Random is kept in no file"):
        write(tmp_path / "x", {"state": random.Random()})
    torch.save({"a": 1}, tmp_path / "pickle.safetensors")
    with pytest.raises(SafetensorError):
        read(tmp_path / "pickle.safetensors")


def test_random_numbers_go_on_where_they_were(tmp_path: Path) -> None:
    def draws() -> list[float]:
        return [random.random(), random.gauss(0, 1), np.random.random(), np.random.normal(), float(torch.randn(()))]

    draws()
    Unpickled()._save_rng_state(str(tmp_path / "there"))
    first = draws()
    draws()
    Unpickled()._load_rng_state(str(tmp_path / "there"))
    assert draws() == first
    Unpickled()._load_rng_state(str(tmp_path))


def test_what_it_takes_the_place_of_is_there_in_transformers() -> None:
    private = {name for name in vars(Unpickled) if name.startswith("_") and not name.startswith("__")}
    assert len(private) == 5 and private <= set(vars(Trainer))
