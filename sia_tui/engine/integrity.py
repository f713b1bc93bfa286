"""What a run rests on, looked at once more: config, data, verifier, base model, and each generation's tuple."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from sia_tui.config import ConfigError, RunConfig, hash_of, load_config
from sia_tui.core.hashing import digest
from sia_tui.core.seals import UNSEEN, Seal
from sia_tui.core.state import Generation, State
from sia_tui.engine.export import ExportError, adapter_folder, base_folder
from sia_tui.engine.session import seed_of, serving_hash, started_by
from sia_tui.engine.tasks import open_task, verifier_of
from sia_tui.harness.environment import EnvironmentFailed, environment_id, read_pins
from sia_tui.harness.repository import RepositoryError
from sia_tui.repositories import repository_of
from sia_tui.store.asked import is_anothers
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.tasks.task import Task, TaskError

Say = Callable[[str], None]
_FETCHED = ("lawbench", "denoise")
"""Tasks whose data is fetched or made on first use; looking at it is not using it."""


def seals(
    workspace: Workspace, paths: RunPaths, state: State, generations: Sequence[Generation], say: Say
) -> list[Seal]:
    """Every digest that the run's log holds and what it is now. Raises nothing for what is missing: a seal says so. Of
    another user's run nothing outside of its own folder is looked at."""
    found, theirs = list[Seal](), is_anothers(paths)
    try:
        config = load_config(paths.config)
    except (ConfigError, OSError) as error:
        found.append(Seal("config", state.config_hash, None, str(error)))
    else:
        found.append(Seal("config", state.config_hash, hash_of(paths.config, state.config_hash)))
        found += _unseen(state) if theirs else _data(workspace, paths, state, config, generations, say)
        found += _policy(workspace, state, config, say, theirs)
    for generation in generations:
        found += _generation(paths, state, generation)
    adapters = dict.fromkeys(made.adapter for made in generations if made.adapter)
    return found + [
        _looked_at(f"adapter {one[:12]}", one, partial(adapter_folder, paths, one), theirs) for one in adapters
    ]


def _recorded(state: State) -> dict[str, str]:
    """Of the task."""
    ready = state.task_ready
    if ready is None:
        return {}
    return {"data and splits": ready.split_hash, "test set": ready.test_hash, "verifier": ready.verifier_hash}


def _unseen(state: State) -> Iterator[Seal]:
    return (Seal(name, sha256, None, UNSEEN) for name, sha256 in _recorded(state).items())


def _data(
    workspace: Workspace,
    paths: RunPaths,
    state: State,
    config: RunConfig,
    generations: Sequence[Generation],
    say: Say,
) -> Iterator[Seal]:
    recorded = _recorded(state)
    if not recorded:
        return
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
        yield from _environment(paths, config, task, generations[-1])


def task_of(workspace: Workspace, config: RunConfig, say: Say) -> Task:
    """The run's task as it is here, without fetching its data. Raises TaskError."""
    settings = config.task
    folder = workspace.root / "tasks" / settings.name
    if settings.name in _FETCHED and settings.folder is None and settings.data is None and not folder.is_dir():
        raise TaskError(f"{folder} is not there; restore it")
    return open_task(workspace, config, say)


def _environment(paths: RunPaths, config: RunConfig, task: Task, generation: Generation) -> Iterator[Seal]:
    """Of the harness: its pins, how it is started, the Python and the machine."""
    try:
        recorded = repository_of(paths).generation(generation.commit)["environment"]
        pins = read_pins(seed_of(task) / "requirements.txt")
        yield Seal("harness environment", recorded, environment_id([*pins, *started_by(config)]))
    except (EnvironmentFailed, RepositoryError, KeyError, ValueError) as error:
        yield Seal("harness environment", "?", None, str(error))


def _policy(workspace: Workspace, state: State, config: RunConfig, say: Say, theirs: bool) -> Iterator[Seal]:
    ready = state.policy_ready
    if ready is None:
        return
    yield Seal("serving", ready.serving_hash, serving_hash(config))
    if config.policy.backend == "remote":
        found = digest(["remote", config.policy.address, config.policy.model])
        yield Seal("base model (name and address only)", ready.sha256, found)
        return
    if theirs:
        yield Seal("base model", ready.sha256, None, UNSEEN)
        return
    look = partial(base_folder, workspace, config.policy, ready.sha256, say)
    yield _looked_at("base model", ready.sha256, look, theirs)


def _looked_at(name: str, sha256: str, look: Callable[[], object], theirs: bool) -> Seal:
    """`look` raises for anything but the recorded content."""
    try:
        look()
    except PermissionError as error:
        return Seal(name, sha256, None, UNSEEN if theirs else str(error))
    except (ExportError, OSError) as error:
        return Seal(name, sha256, None, str(error))
    return Seal(name, sha256, sha256)


def _generation(paths: RunPaths, state: State, generation: Generation) -> Iterator[Seal]:
    names = f"g{generation.index} tuple", f"g{generation.index} harness tree"
    try:
        repository = repository_of(paths)
        key = digest(repository.generation(generation.commit))
        tree = repository.subtree(generation.commit, state.task)
    except (RepositoryError, ValueError) as error:
        yield Seal(names[0], generation.key, None, str(error))
        return
    yield Seal(names[0], generation.key, key)
    yield Seal(names[1], generation.tree, tree)
