"""Trees that nobody made for us: looked into, and removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sia_tui.trees import DEEPEST, TooDeep, below, remove


def deep(folder: Path, depth: int) -> None:
    here = Path.cwd()
    folder.mkdir()
    os.chdir(folder)
    for _ in range(depth):
        Path("d").mkdir()
        Path("f").write_text("x")
        os.chdir("d")
    os.chdir(here)


def test_all_that_lies_in_a_folder_is_found_and_no_link_is_followed(tmp_path: Path) -> None:
    deep(tmp_path / "tree", 3)
    (tmp_path / "tree" / "d" / "away").symlink_to(tmp_path)
    (tmp_path / "tree" / "loop").symlink_to(tmp_path / "tree")
    found = sorted(str(Path(entry).relative_to(tmp_path / "tree")) for entry in below(tmp_path / "tree"))
    assert found == ["d", "d/away", "d/d", "d/d/d", "d/d/f", "d/f", "f", "loop"]
    assert list(below(tmp_path / "absent")) == []


def test_what_is_too_deep_is_told(tmp_path: Path) -> None:
    deep(tmp_path / "fits", DEEPEST)
    assert len(list(below(tmp_path / "fits"))) == 2 * DEEPEST
    deep(tmp_path / "tree", DEEPEST + 1)
    with pytest.raises(TooDeep, match="nested more than 64 deep"):
        list(below(tmp_path / "tree"))


def test_however_deep_it_is_removed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("kept")
    deep(tmp_path / "tree", 3000)
    (tmp_path / "tree" / "d" / "link").symlink_to(kept)
    (tmp_path / "tree" / "up").symlink_to(tmp_path)
    for mode in (0o000, 0o300, 0o500):
        shut = tmp_path / "tree" / f"{mode:o}"
        shut.mkdir()
        (shut / "f").write_text("x")
        shut.chmod(mode)
    remove(tmp_path / "tree")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    (tmp_path / "link").symlink_to(tmp_path)
    for one in (tmp_path / "link", kept, tmp_path / "absent"):
        remove(one)
    assert list(tmp_path.iterdir()) == []
