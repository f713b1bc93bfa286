"""What a loader might run is found wherever it lies, and a tree that nobody could look through is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sia_tui.pickles import pickles
from sia_tui.policy.adapters import adapter_hash
from sia_tui.trees import remove
from tests.test_trees import deep


def test_they_are_found_at_any_depth_and_by_name_alone(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("adapter_model.safetensors", "a/optimizer.pt", "a/b/adapter_model.bin", "a/b/config.json"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.pt").mkdir()
    assert pickles(tmp_path) == ["adapter_model.bin", "folder.pt", "optimizer.pt"]


def test_folders_without_end_are_no_adapter(tmp_path: Path) -> None:
    deep(tmp_path / "tree", 1500)
    try:
        assert pickles(tmp_path) == ["folders nested more than 64 deep"]
        with pytest.raises(FileNotFoundError, match="nested more than 64 deep may hold code"):
            adapter_hash(tmp_path)
    finally:
        remove(tmp_path)
