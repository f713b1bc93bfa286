"""What was changed between the yes and the use is refused when it would be used. (The config: test_usage; proposals and
verdicts: test_audit; the harness: test_repository.)"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sia_tui.engine.prepare import require_same_task
from sia_tui.engine.session import EngineError, Session
from sia_tui.policy.adapters import adapter_hash
from sia_tui.store.workspace import RunPaths


@pytest.mark.parametrize("changed", ["split_hash", "test_hash", "verifier_hash"])
def test_another_verifier_or_other_data(changed: str) -> None:
    ready = SimpleNamespace(split_hash="s", test_hash="t", verifier_hash="v")
    task, verifier = SimpleNamespace(name="toy", split_hash="s", test_hash="t"), SimpleNamespace(verifier_hash="v")
    verifier.unlike = lambda: ("score.py, which the reward reads, was added",)
    state = SimpleNamespace(task_ready=ready)
    require_same_task(*cast(Any, (state, task, verifier)))
    setattr(ready, changed, "another")
    said = r"changed since this run began(: score\.py, which the reward reads, was added)?;.*start a new run"
    with pytest.raises(EngineError, match=said):
        require_same_task(*cast(Any, (state, task, verifier)))


class Loading:
    """A gateway that says what it was given."""

    async def load_adapter(self, name: str, folder: Path) -> str:
        return adapter_hash(folder)


@pytest.mark.asyncio
async def test_another_adapter(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "adapter_config.json").write_text("{}")
    (made / "adapter_model.safetensors").write_bytes(b"weights")
    paths, sha256 = RunPaths(tmp_path), adapter_hash(made)
    paths.adapter(sha256).parent.mkdir(parents=True, exist_ok=True)
    folder = made.rename(paths.adapter(sha256))
    session, gateway = cast(Any, SimpleNamespace(paths=paths)), cast(Any, Loading())
    assert await Session.served(session, gateway, sha256) == folder.name
    (folder / "adapter_model.safetensors").write_bytes(b"others")
    with pytest.raises(EngineError, match="is not the adapter that was trained"):
        await Session.served(session, gateway, sha256)


@pytest.mark.parametrize("name", ["adapter_model.bin", "optimizer.pt"])
def test_a_pickle_beside_the_weights(tmp_path: Path, name: str) -> None:
    for file in ("adapter_config.json", "adapter_model.safetensors", name):
        (tmp_path / file).write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match="only safetensors are read"):
        adapter_hash(tmp_path)


def test_a_runs_folder_is_its_owners_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    RunPaths(tmp_path).keep_private()
    assert tmp_path.stat().st_mode & 0o777 == 0o700
