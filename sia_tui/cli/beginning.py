"""A run is begun: its folder with config and first event, whole or not at all. Its engine is started by whoever asks."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from sia_tui.cli.main import UsageError
from sia_tui.cli.reading import generation_index, read
from sia_tui.config import ConfigError, RunConfig, load_config
from sia_tui.core.events import RunCreated
from sia_tui.store.place import require_in_place
from sia_tui.store.workspace import RunPaths, Workspace


def begin(
    workspace: Workspace, path: Path, overrides: list[str], gate: str | None, name: str | None
) -> tuple[RunPaths, RunConfig]:
    """A new run from a config file. Raises UsageError, StoreError."""
    config = read_config(path, overrides, gate)
    workspace.create()
    name = name or free_name(workspace, path.stem)
    return create(workspace, config, RunCreated(name, config.task.name, config.hash)), config


def branched(workspace: Workspace, source: RunPaths, wanted: str, name: str | None, overrides: list[str]) -> RunPaths:
    """A new run that starts from a generation of another. Raises UsageError, StoreError."""
    require_in_place(source)
    state = read(source)
    generation = state.generations[generation_index(state, wanted)]
    config, before = read_config(source.config, overrides, None), read_config(source.config, [], None)
    if (config.task, config.policy) != (before.task, before.policy):
        raise UsageError("a branch keeps the task and the policy of its generation; start a new run for others")
    parent = f"{source.name}/g{generation.index}"
    name = name or free_name(workspace, f"{source.name}-g{generation.index}")
    created = RunCreated(name, state.task, config.hash, parent, generation.commit, generation.adapter)
    return create(workspace, config, created, source.adapter(generation.adapter) if generation.adapter else None)


def read_config(path: Path, overrides: list[str], gate: str | None) -> RunConfig:
    try:
        return load_config(path, [*overrides, *([f"gate.policy={gate}"] if gate else [])])
    except ConfigError as error:
        raise UsageError(str(error)) from error


def free_name(workspace: Workspace, stem: str) -> str:
    taken = {path.name for path in workspace.runs.glob("*")}
    return next(name for number in range(1, len(taken) + 2) if (name := f"{stem}-{number}") not in taken)


def create(workspace: Workspace, config: RunConfig, created: RunCreated, adapter: Path | None = None) -> RunPaths:
    """The run's folder, with the adapter it starts from, whole or not at all."""
    from sia_tui.store.writer import RunStore

    paths = workspace.run(created.run)
    try:
        workspace.runs.mkdir(parents=True, exist_ok=True)
        part = RunPaths(Path(tempfile.mkdtemp(dir=workspace.runs, prefix=".part-")))
    except OSError as error:
        raise UsageError(
            f"{workspace.runs}: cannot be written ({error.strerror}); choose another --workspace"
        ) from error
    try:
        part.config.write_text(config.dump(), encoding="utf-8")
        with RunStore(part.db) as store:
            store.record(created)
        if adapter is not None:
            shutil.copytree(adapter, part.adapters / adapter.name)
        part.root.rename(paths.root)
    except OSError as error:
        shutil.rmtree(part.root, ignore_errors=True)
        if not paths.root.exists():
            raise UsageError(f"{paths.root}: cannot be created ({error.strerror})") from error
        raise UsageError(
            f"run {created.run} exists; go on with it: sia-tui resume {created.run}, or choose another --name"
        ) from None
    return paths
