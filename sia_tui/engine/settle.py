"""Answering commands while no engine is alive: the same rules, the same log, without starting the loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress

from sia_tui.config import ConfigError, load_config
from sia_tui.core.events import Unattended
from sia_tui.core.loop import Rules
from sia_tui.engine.commands import heed
from sia_tui.engine.history import move_branch
from sia_tui.harness.repository import HarnessRepository, RepositoryError
from sia_tui.store.lock import hold
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore


def settle(workspace: Workspace, paths: RunPaths, say: Callable[[], int] = lambda: 0) -> int:
    """Answer every open command of a run, and the one that `say` writes down, whose number is returned: asked for only where
    it can be answered. Raises RunHeld when an engine has just taken the run: that one will answer."""
    with hold(paths.lock, as_engine=False), RunStore(paths.db) as store:
        number = say()
        if store.commands():
            _say_unattended(store, paths)
        heed(store, paths, rules=_rules(paths))
        # What is answered is answered; a branch that somebody moved is said by the engine, before it goes on.
        if store.state.generations:
            with suppress(RepositoryError):
                move_branch(HarnessRepository(workspace.harness_repository), store.state, paths.worktree)
        return number


def _say_unattended(store: RunStore, paths: RunPaths) -> None:
    """Between its last sign of life and a person's command no engine has worked, which is not to be paid from the budget."""
    state = store.state
    if state.status == "running" and state.waiting is None and state.last_at is not None:
        with closing(RunReader(paths.db)) as reader:
            progress = reader.progress()
        store.record(Unattended(max(state.last_at, progress.beat_at if progress else "")))


def _rules(paths: RunPaths) -> Rules | None:
    with suppress(ConfigError):
        return load_config(paths.config).rules
    return None
