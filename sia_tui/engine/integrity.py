"""What a run rests on, looked at once more: config, data, verifier, base model, and each generation's tuple."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from sia_tui.config import ConfigError, RunConfig, hash_of, load_config
from sia_tui.core.hashing import digest
from sia_tui.core.seals import Seal
from sia_tui.core.state import Generation, State
from sia_tui.engine.export import ExportError, adapter_folder, base_folder
from sia_tui.engine.session import seed_of, serving_hash, started_by
from sia_tui.engine.tasks import open_task, verifier_of
from sia_tui.harness.environment import EnvironmentFailed, environment_id, read_pins
from sia_tui.harness.repository import HarnessRepository, RepositoryError
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.tasks.task import Task, TaskError

Say = Callable[[str], None]
_FETCHED = ("lawbench", "denoise")
"""Tasks whose data is fetched or made on first use; looking at it is not using it."""


def seals(
    workspace: Workspace, paths: RunPaths, state: State, generations: Sequence[Generation], say: Say
) -> list[Seal]:
    """Every digest that the run's log holds and what it is now. Raises nothing for what is missing: a seal says so."""
    found: list[Seal] = []
    try:
        config = load_config(paths.config)
    except (ConfigError, OSError) as error:
        found.append(Seal("config", state.config_hash, None, str(error)))
    else:
        found.append(Seal("config", state.config_hash, hash_of(paths.config, state.config_hash)))
        found += _data(workspace, state, config, generations, say)
        found += _policy(workspace, state, config, say)
    repository = HarnessRepository(workspace.harness_repository)
    for generation in generations:
        found += _generation(repository, state, generation)
    adapters = dict.fromkeys(made.adapter for made in generations if made.adapter)
    return found + [_looked_at(f"adapter {one[:12]}", one, partial(adapter_folder, paths, one)) for one in adapters]


def _data(
    workspace: Workspace, state: State, config: RunConfig, generations: Sequence[Generation], say: Say
) -> Iterator[Seal]:
    ready = state.task_ready
    if ready is None:
        return
    recorded = {"data and splits": ready.split_hash, "test set": ready.test_hash, "verifier": ready.verifier_hash}
    try:
        task = task_of(workspace, config, say)
        with tempfile.TemporaryDirectory(prefix="sia-seals-") as folder:
            level = state.engine.isolation if state.engine else "none"
            verifier = verifier_of(task, Path(folder) / "verifier", level)  # type: ignore[arg-type]
    except (TaskError, OSError) as error:
        for name, sha256 in recorded.items():
            yield Seal(name, sha256, None, str(error))
        return
    now = (task.split_hash, task.test_hash, verifier.verifier_hash)
    for (name, sha256), found in zip(recorded.items(), now, strict=True):
        yield Seal(name, sha256, found)
    if generations:
        yield from _environment(workspace, config, task, generations[-1])


def task_of(workspace: Workspace, config: RunConfig, say: Say) -> Task:
    """The run's task as it is here, without fetching its data. Raises TaskError."""
    settings = config.task
    folder = workspace.root / "tasks" / settings.name
    if settings.name in _FETCHED and settings.folder is None and settings.data is None and not folder.is_dir():
        raise TaskError(f"{folder} is not there; restore it")
    return open_task(workspace, config, say)


def _environment(workspace: Workspace, config: RunConfig, task: Task, generation: Generation) -> Iterator[Seal]:
    """Of the harness: its pins, how it is started, the Python and the machine."""
    try:
        recorded = HarnessRepository(workspace.harness_repository).generation(generation.commit)["environment"]
        pins = read_pins(seed_of(task) / "requirements.txt")
        yield Seal("harness environment", recorded, environment_id([*pins, *started_by(config)]))
    except (EnvironmentFailed, RepositoryError, KeyError, ValueError) as error:
        yield Seal("harness environment", "?", None, str(error))


def _policy(workspace: Workspace, state: State, config: RunConfig, say: Say) -> Iterator[Seal]:
    ready = state.policy_ready
    if ready is None:
        return
    yield Seal("serving", ready.serving_hash, serving_hash(config))
    if config.policy.backend == "remote":
        found = digest(["remote", config.policy.address, config.policy.model])
        yield Seal("base model (name and address only)", ready.sha256, found)
        return
    yield _looked_at("base model", ready.sha256, partial(base_folder, workspace, config.policy, ready.sha256, say))


def _looked_at(name: str, sha256: str, look: Callable[[], object]) -> Seal:
    """`look` raises for anything but the recorded content."""
    try:
        look()
    except (ExportError, OSError) as error:
        return Seal(name, sha256, None, str(error))
    return Seal(name, sha256, sha256)


def _generation(repository: HarnessRepository, state: State, generation: Generation) -> Iterator[Seal]:
    names = f"g{generation.index} tuple", f"g{generation.index} harness tree"
    try:
        key = digest(repository.generation(generation.commit))
        tree = repository.subtree(generation.commit, state.task)
    except (RepositoryError, ValueError) as error:
        yield Seal(names[0], generation.key, None, str(error))
        return
    yield Seal(names[0], generation.key, key)
    yield Seal(names[1], generation.tree, tree)
