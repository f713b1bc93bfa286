"""The tasks there are, by name."""

from __future__ import annotations

from pathlib import Path

from sia_tui.tasks.task import Task, TaskError

TASKS = ("lawbench", "denoise", "trimul", "trimul-gpu")


def available() -> tuple[str, ...]:
    return TASKS


def load_task(
    name: str,
    folder: Path,
    *,
    seed: int = 0,
    folds: int = 5,
    dev: float = 0.15,
    hidden: float = 0.15,
    limit: int | None = None,
) -> Task:
    """The task of that name from its data in `folder`; TaskError names the ones there are."""
    if name not in TASKS:
        raise TaskError(f"no task {name!r}: choose one of {', '.join(TASKS)}, or name the folder of one of your own")
    if name == "denoise":
        from sia_tui.tasks.denoise import task as denoise

        return denoise.load(folder, seed, folds, limit)
    if name == "trimul":
        from sia_tui.tasks.trimul import task as trimul

        return trimul.load(seed, folds, limit)
    if name == "trimul-gpu":
        from sia_tui.tasks.trimul.gpu import task as gpu

        return gpu.load(seed, folds, limit)
    from sia_tui.tasks import lawbench

    return lawbench.load(folder, seed, folds, dev, hidden, limit)
