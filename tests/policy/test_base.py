"""A base model's folder: by path or by hub id, told apart by content."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sia_tui.policy import base
from tests.policy.conftest import Reference


def test_a_folder_is_told_apart_by_what_it_says_and_not_by_where_it_lies(reference: Reference, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(reference.folder, tmp_path / "copy"))
    (copy / "README.md").write_text("a note changes nothing")
    known = base.sha256(base.find(str(reference.folder)))
    assert base.sha256(base.find(str(copy))) == known
    (copy / "tokenizer_config.json").write_text("{}")
    assert base.sha256(copy) != known and base.fingerprint(copy) != base.fingerprint(reference.folder)


def test_a_file_of_the_hubs_cache_already_has_its_digest_for_a_name(reference: Reference, tmp_path: Path) -> None:
    """Nothing of it is read: its content here is another one."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    shutil.copytree(reference.folder, snapshot)
    real = base.sha256(snapshot)
    name = base._file_digest(snapshot / "model.safetensors")
    (snapshot / "model.safetensors").unlink()
    (blobs / name).write_bytes(b"")
    (snapshot / "model.safetensors").symlink_to(blobs / name)
    assert base.sha256(snapshot) == real


def test_a_hub_id_is_found_in_the_cache(reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--house--tiny"
    commit = "0" * 40
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(reference.folder, repository / "snapshots" / commit)
    assert base.find("house/tiny") == (repository / "snapshots" / commit).resolve()


@pytest.mark.parametrize("name", ["house/none", "no such folder", "/nowhere"])
def test_what_is_not_here_is_said_in_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(base.ModelMissing, match="neither a folder nor a model in the local Hugging Face cache") as said:
        base.find(name)
    assert "\n" not in str(said.value) and "hf download" in str(said.value)


def test_a_folder_without_weights_names_what_is_missing(reference: Reference, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(reference.folder, tmp_path / "copy"))
    (copy / "model.safetensors").unlink()
    with pytest.raises(base.ModelMissing, match=r"model\.safetensors is missing"):
        base.find(str(copy))
