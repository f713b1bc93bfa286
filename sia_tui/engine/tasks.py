"""A run's task, as its config names it, and who judges its answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sia_tui.config import RunConfig, TaskConfig
from sia_tui.engine.tissues import TissueVerifier
from sia_tui.harness.sandbox import Isolation
from sia_tui.store.workspace import Workspace
from sia_tui.tasks import lawbench, own
from sia_tui.tasks.denoise import task as denoise
from sia_tui.tasks.task import Task, TaskError
from sia_tui.tasks.verifier import VerifierProcess


def open_task(workspace: Workspace, config: RunConfig, say: Callable[[str], None]) -> Task:
    """The task as the config splits it; its data is fetched, or made, in the workspace on first use. Raises TaskError."""
    settings = config.task
    if settings.folder is not None:
        return _own(settings, settings.folder)
    if settings.name == denoise.NAME:
        folder = settings.data or workspace.folder("tasks") / denoise.NAME
        return denoise.load(folder, settings.seed, settings.folds, settings.limit, say)
    if settings.name == lawbench.NAME:
        folder = settings.data or lawbench.fetch(workspace.folder("tasks"), say)
        return lawbench.load(folder, *_cut(settings))
    known = f"{lawbench.NAME}, {denoise.NAME}"
    raise TaskError(f"no task {settings.name!r}: there are {known}, and with task.folder one of your own")


def verifier_of(task: Task, folder: Path, level: Isolation) -> VerifierProcess | TissueVerifier:
    """A context manager that judges from within; it holds no test gold until test is opened."""
    if isinstance(task, denoise.DenoiseTask):
        return TissueVerifier(folder, task, level)
    gold = {case: label for case, label in task.gold.items() if task.cases[case].split != "test"}
    return VerifierProcess(folder, gold, task.labels, task.judge)


def _own(settings: TaskConfig, folder: Path) -> Task:
    task = own.load(folder, *_cut(settings))
    if task.name != settings.name:
        raise TaskError(f"{folder} holds the task {task.name}, but the config says {settings.name}")
    return task


def _cut(settings: TaskConfig) -> tuple[int, int, float, float, int | None]:
    return settings.seed, settings.folds, settings.dev, settings.hidden, settings.limit
