"""A run's task, as its config names it, and who judges its answers."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from sia_tui.config import RunConfig, TaskConfig
from sia_tui.engine.session import SEEDS
from sia_tui.engine.tissues import TissueVerifier
from sia_tui.harness import confined
from sia_tui.harness.environment import EnvironmentFailed, ensure_environment
from sia_tui.harness.sandbox import Isolation, SandboxUnavailable
from sia_tui.harness.walls import Walls
from sia_tui.store.workspace import Workspace
from sia_tui.tasks import lawbench, own
from sia_tui.tasks.denoise import task as denoise
from sia_tui.tasks.denoise.own_tissues import Cut, fill, folder_of
from sia_tui.tasks.judge import Judge
from sia_tui.tasks.task import Task, TaskError
from sia_tui.tasks.trimul import cases, judging
from sia_tui.tasks.trimul import task as trimul
from sia_tui.tasks.trimul.gpu import judging as gpu_judging
from sia_tui.tasks.trimul.gpu import task as gpu
from sia_tui.tasks.trimul.programs import Command, Wanted
from sia_tui.tasks.verifier import VerifierProcess
from sia_tui.tasks.verifier_pool import VerifierPool, room

BENCHES = 2
"""Of TriMul in C: one compiles while the other times, which takes turns."""


def open_task(
    workspace: Workspace, config: RunConfig, say: Callable[[str], None], stop: threading.Event | None = None
) -> Task:
    """The task as the config splits it; its data is fetched, or made, in the workspace on first use. Raises TaskError."""
    settings = config.task
    if settings.folder is not None:
        return equipped(_own(settings, settings.folder), workspace, say, stop)
    if settings.name == denoise.NAME:
        folder = settings.data or workspace.folder("tasks") / denoise.NAME
        if settings.tissues is not None:
            cut = Cut(**settings.tissues.model_dump())
            folder = folder_of(cut, workspace.folder("tasks"))
            fill(cut, folder, say)
        return denoise.load(folder, settings.seed, settings.folds, settings.limit, say)
    if settings.name == lawbench.NAME:
        folder = settings.data or lawbench.fetch(workspace.folder("tasks"), say)
        return lawbench.load(folder, *_cut(settings))
    if settings.name == cases.NAME:
        return trimul.load(settings.seed, settings.folds, settings.limit)
    if settings.name == gpu.NAME:
        modules = SEEDS / "trimul-module" if config.policy.kind == "model" else None
        return gpu.load(settings.seed, settings.folds, settings.limit, modules)
    known = f"{lawbench.NAME}, {denoise.NAME}, {cases.NAME}, {gpu.NAME}"
    raise TaskError(f"no task {settings.name!r}: there are {known}, and with task.folder one of your own")


def verifier_of(
    task: Task, folder: Path, level: Isolation, walls: Walls | None = None
) -> VerifierProcess | VerifierPool | TissueVerifier:
    """A context manager that judges from within; it holds no test gold until test is opened. Raises SandboxUnavailable."""
    if level == "container" and task.name in (cases.NAME, gpu.NAME):
        raise SandboxUnavailable(
            f"{task.name} compiles and times programs, which a container each would be too slow for; "
            "set harness.isolation to bwrap or landlock"
        )
    if isinstance(task, denoise.DenoiseTask):
        return TissueVerifier(folder, task, level, walls or Walls())
    gold = {case: label for case, label in task.gold.items() if task.cases[case].split != "test"}
    if task.name == cases.NAME:
        benches = [_bench(room(folder, n), room(folder.with_name("bench"), n), level, judging) for n in range(BENCHES)]
        return VerifierPool(folder, gold, task.labels, benches)
    if task.name == gpu.NAME:
        return VerifierProcess(folder, gold, task.labels, _bench(folder, folder.with_name("bench"), level, gpu_judging))
    if task.judge.at_once > 1:
        return VerifierPool(folder, gold, task.labels, [task.judge] * task.judge.at_once)
    return VerifierProcess(folder, gold, task.labels, task.judge)


def _bench(folder: Path, bench: Path, level: Isolation, kind: Any) -> Judge:
    """Where kernels are compiled and timed, in the walls; timed one at a time on this machine, whatever the workspace."""
    python = Path(sys.executable)

    def wall(wanted: Wanted) -> Command:
        made = confined.command(level, python, confined.Program(**vars(wanted)))
        return Command(made.argv, made.environment)

    bench.mkdir(parents=True, exist_ok=True)
    kind.set_up(bench, wall, Path(tempfile.gettempdir()) / f"sia-trimul-{os.getuid()}.lock", code=folder)
    return cast(Judge, kind.judge(bench))


def equipped(task: Task, workspace: Workspace, say: Callable[[str], None], stop: threading.Event | None = None) -> Task:
    """Its reward's own environment is made, where it has one. Raises TaskError."""
    requirements = task.judge.requirements
    if requirements is None:
        return task
    try:
        python = ensure_environment(requirements, workspace.folder("environments"), say, stop)
    except EnvironmentFailed as fault:
        raise TaskError(f"the reward's own environment: {fault}") from None
    return replace(task, judge=replace(task.judge, python=python))


def _own(settings: TaskConfig, folder: Path) -> Task:
    task = own.load(folder, *_cut(settings))
    if task.name != settings.name:
        raise TaskError(f"{folder} holds the task {task.name}, but the config says {settings.name}")
    return task


def _cut(settings: TaskConfig) -> tuple[int, int, float, float, int | None]:
    return settings.seed, settings.folds, settings.dev, settings.hidden, settings.limit
