"""A generation leaves its workspace: found, checked against the log, and written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sia_tui.config import PolicyConfig, load_config
from sia_tui.core.state import Generation, State
from sia_tui.policy import base as models
from sia_tui.policy.adapters import adapter_hash
from sia_tui.policy.export import weights_hash
from sia_tui.store.workspace import RunPaths, Workspace

ARCHIVE = ".tar.gz"


class ExportError(Exception):
    """What is to be exported is not what the log says, in one line."""


@dataclass(frozen=True)
class Source:
    """A generation and the folders of its weights, which are those that were measured."""

    state: State
    generation: Generation
    base: Path
    called: str
    """The base's name elsewhere: its hub id, or its path on this machine."""
    adapter: Path | None

    @property
    def name(self) -> str:
        return f"{self.state.run}-g{self.generation.index}"


def find(workspace: Workspace, paths: RunPaths, state: State, index: int, say: Callable[[str], None]) -> Source:
    """Raises ExportError for weights that are missing or are other ones; ConfigError."""
    generation, ready = state.generations[index], state.policy_ready
    assert ready is not None, "a generation is made after its policy"
    policy = load_config(paths.config).policy
    if policy.backend == "remote":
        raise ExportError(f"the policy of {state.run} answers at {policy.address}: its weights are not here to export")
    base = base_folder(workspace, policy, ready.sha256, say)
    hub = policy.model is not None and not Path(policy.model).expanduser().is_dir()
    called = policy.model if policy.model and hub else str(base.resolve())
    adapter = None if generation.adapter is None else adapter_folder(paths, generation.adapter)
    return Source(state, generation, base, called, adapter)


def base_folder(workspace: Workspace, policy: PolicyConfig, sha256: str, say: Callable[[str], None]) -> Path:
    """The base model that a run began with, read through. Raises ExportError where it is missing or another one."""
    return _nano(workspace, sha256) if policy.kind == "nano" else _model(workspace, policy, sha256, say)


def base_sha256(policy: PolicyConfig, folder: Path, workspace: Workspace, say: Callable[[str], None]) -> str:
    """What tells a base apart, as a run that begins with it says; of a nano model the weights alone count."""
    if policy.kind == "nano":
        return weights_hash(folder)
    reading = f"reading the weights of {folder} once, for their digest"
    return models.remembered(folder, workspace.folder("policies"), lambda: say(reading))


def _nano(workspace: Workspace, sha256: str) -> Path:
    for manifest in sorted(workspace.root.glob("policies/[!.]*/manifest.json")):
        if json.loads(manifest.read_text(encoding="utf-8")).get("weights_sha256") == sha256:
            if weights_hash(manifest.parent) == sha256:
                return manifest.parent
            raise ExportError(f"{manifest.parent} is damaged: delete it, and the next run of the config makes it again")
    raise ExportError(f"the base model {sha256[:16]} is not in {workspace.root / 'policies'}; restore it there")


def _model(workspace: Workspace, policy: PolicyConfig, sha256: str, say: Callable[[str], None]) -> Path:
    try:
        folder = models.find(policy.model or "")
    except models.ModelMissing as missing:
        raise ExportError(str(missing)) from None
    if base_sha256(policy, folder, workspace, say) != sha256:
        raise ExportError(f"{folder} is not the base model that the run began with; restore it from a copy")
    return folder


def adapter_folder(paths: RunPaths, sha256: str) -> Path:
    """A published adapter, read through. Raises ExportError where it is missing or another one."""
    folder = paths.adapter(sha256)
    try:
        found = adapter_hash(folder)
    except FileNotFoundError as error:
        raise ExportError(f"{error}; restore it from a copy") from error
    if found != sha256:
        raise ExportError(f"{folder} is not the adapter that was measured; restore it from a copy")
    return folder


@contextmanager
def beside(out: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `out` by one rename, or the archive `out` by one link; or nothing does.

    Raises FileExistsError when `out` is there, at the start or by then.
    """
    _require_free(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        part = Path(scratch) / out.name.removesuffix(ARCHIVE)
        part.mkdir()
        yield part
        if out.name.endswith(ARCHIVE):
            os.link(_packed(part, Path(scratch) / "archive"), out)
        else:
            _require_free(out)
            part.rename(out)


def _require_free(out: Path) -> None:
    if os.path.lexists(out):
        raise FileExistsError(f"{out} is there already; choose another place")


def _packed(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "x:gz") as tar:
        tar.add(folder, folder.name)
    shutil.rmtree(folder)
    return archive


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of every file below the folder, by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): _hash(path) for path in files}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
