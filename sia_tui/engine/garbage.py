"""What lies in a workspace that no run refers to. Where a run cannot be asked what it needs, nothing of that kind goes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sia_tui.config import ConfigError, RunConfig, load_config
from sia_tui.core.state import State
from sia_tui.engine import tools
from sia_tui.engine.deleting import alone, remove
from sia_tui.engine.integrity import task_of
from sia_tui.engine.keeping import adapters, folded
from sia_tui.engine.session import seed_of
from sia_tui.harness.environment import EnvironmentFailed, interpreter
from sia_tui.harness.repository import HarnessRepository, RepositoryError
from sia_tui.store.lock import using
from sia_tui.store.place import nameless
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.tasks.task import Task, TaskError

SHARED = ("policies", "environments", "rows", "tools", "baselines")
STALE_S = 3600.0
"""What is half made may still be in somebody's hands for so long."""


@dataclass(frozen=True)
class Item:
    path: Path
    what: str
    size: int
    """Bytes."""


@dataclass
class _Needs:
    """Names in each shared folder that some run refers to; None: whatever is there."""

    names: dict[str, set[str] | None] = field(default_factory=lambda: {place: set() for place in SHARED})

    def add(self, place: str, *names: str) -> None:
        known = self.names[place]
        if known is not None:
            known.update(names)

    def all_of(self, *places: str) -> None:
        self.names |= dict.fromkeys(places)


@contextmanager
def held(workspace: Workspace) -> Iterator[None]:
    """No engine can begin or go on with a run meanwhile. Raises RunHeld while one is alive."""
    with ExitStack() as stack:
        for paths in _runs(workspace):
            stack.enter_context(alone(paths))
        # Of a run that has begun since nothing is known here.
        stack.enter_context(using(workspace.root, "sia-tui gc", alone=True))
        yield


def collect(workspace: Workspace, wanted: Sequence[Item]) -> list[Item]:
    """Delete of these what still is garbage; returns that. Raises RunHeld, StoreError, OSError."""
    with held(workspace):
        listed = {item.path for item in wanted}
        doomed = [item for item in garbage(workspace) if item.path in listed]
        for item in doomed:
            remove(item.path)
    return doomed


def garbage(workspace: Workspace) -> list[Item]:
    """Raises StoreError for a run whose log cannot be read, or that no name leads to: it may need anything."""
    if misnamed := workspace.misnamed():
        raise StoreError(
            f"{workspace.root}: {nameless(misnamed[0])}; what it needs is not known, so that nothing is deleted"
        )
    needs, found = _Needs(), list[tuple[Path, str]]()
    for paths in _runs(workspace):
        state = folded(paths.db)
        _of_run(workspace, paths, state, needs)
        found += _within(workspace, paths, state)
    for place in SHARED:
        found += ((path, f"{place}: of no run") for path in _unneeded(workspace.root / place, needs.names[place]))
    found += ((path, "half made, and left") for path in _left(workspace))
    return [Item(path, what, _size(path)) for path, what in sorted(found)]


def _runs(workspace: Workspace) -> list[RunPaths]:
    return [workspace.run(name) for name in sorted(workspace.run_names())]


def _of_run(workspace: Workspace, paths: RunPaths, state: State, needs: _Needs) -> None:
    """What it refers to in the shared folders."""
    try:
        if state.policy_ready is not None:
            needs.add("policies", *_policies(workspace, state.policy_ready.sha256))
        elif not state.over:
            needs.all_of("policies")
    except (OSError, ValueError, AttributeError):
        # A manifest that says nothing may be of the policy that the run needs.
        needs.all_of("policies")
    if state.task_ready is not None:
        needs.add("baselines", state.task_ready.split_hash[:16])
    elif not state.over:
        needs.all_of("baselines")
    try:
        config = load_config(paths.config)
        task = task_of(workspace, config, lambda line: None)
        _fitted(workspace, state, task, config, needs)
    except (ConfigError, TaskError, EnvironmentFailed, RepositoryError, OSError, ValueError):
        needs.all_of("environments", "rows", "tools")


def _policies(workspace: Workspace, sha256: str) -> Iterator[str]:
    yield f"remote-{sha256[:16]}"
    for manifest in workspace.root.glob("policies/*/manifest.json"):
        if json.loads(manifest.read_text(encoding="utf-8")).get("weights_sha256") == sha256:
            yield manifest.parent.name


def _fitted(workspace: Workspace, state: State, task: Task, config: RunConfig, needs: _Needs) -> None:
    """Interpreters, rows of every view, and what each generation's harness made of them."""
    environments = workspace.root / "environments"
    python = interpreter(seed_of(task) / "requirements.txt", environments)
    wanted = [python, *([interpreter(task.judge.requirements, environments)] if task.judge.requirements else [])]
    needs.add("environments", *(path.parents[1].name for path in wanted))
    repository = HarnessRepository(workspace.harness_repository)
    rows = [tools.rows_name(task, view) for view in task.views]
    needs.add("rows", *rows)
    for commit in _commits(state):
        with suppress(KeyError):
            needs.add("environments", str(repository.generation(commit)["environment"]))
        files = repository.files(commit, task.name)
        needs.add("tools", *(tools.tools_name(files, name, python) for name in rows))


def _commits(state: State) -> list[str]:
    """Of its generations, and of the step that is not decided on."""
    current = state.current
    open_step = [current.commit] if current is not None and current.commit else []
    return [*(made.commit for made in state.generations), *open_step]


def _within(workspace: Workspace, paths: RunPaths, state: State) -> Iterator[tuple[Path, str]]:
    """What lies in its own folder and nobody will ask for."""
    kept = {paths.adapter(sha256).name for sha256 in adapters(state)}
    yield from ((path, "adapter of a refused step") for path in _unneeded(paths.adapters, kept))
    current = state.current
    going_on = {current.id} if current is not None and current.trained is None else set()
    yield from ((path, "of a training that is over") for path in _unneeded(paths.training, going_on))
    repository = HarnessRepository(workspace.harness_repository)
    with suppress(RepositoryError):
        trees = {repository.subtree(commit, state.task) for commit in _commits(state)}
        for root in (paths.root, paths.again.root):
            yield from ((path, "tree of no generation") for path in _unneeded(root / "trees", trees))
    scratch = [path for root in (paths, paths.again) for path in root.logs.glob("scratch-*")]
    yield from ((path, "scratch of an engine that is gone") for path in scratch)


def _unneeded(folder: Path, needed: set[str] | None) -> list[Path]:
    """Folders in it that nobody needs; what is half made has its own rule."""
    if needed is None or not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_dir() and path.name not in needed and not _half(path)]


def _half(path: Path) -> bool:
    return path.name.startswith((".", "part-"))


def _left(workspace: Workspace) -> Iterator[Path]:
    """Half made, and not touched for long."""
    places: list[Callable[[], Iterator[Path]]] = [
        lambda: workspace.runs.glob(".part-*"),
        lambda: workspace.runs.glob(".deleted-*"),
        *((lambda at=place: (workspace.root / at).glob("part-*")) for place in SHARED),
        *((lambda at=place: (workspace.root / at).glob(".*")) for place in ("policies", "baselines")),
        *((lambda at=paths: at.root.glob("trees/part-*")) for paths in _runs(workspace)),
        *((lambda at=paths: at.adapters.glob(".*")) for paths in _runs(workspace)),
    ]
    for look in places:
        yield from (path for path in look() if time.time() - path.lstat().st_mtime > STALE_S)


def _size(path: Path) -> int:
    """Bytes on the disk."""
    files = [path] if not path.is_dir() else [path, *path.rglob("*")]
    return sum(file.lstat().st_blocks * 512 for file in files)
