"""Whether an evaluator is fit: asked once for its verifier and its split, and remembered in the workspace."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from sia_tui import core, tasks
from sia_tui.core.codec import build
from sia_tui.core.fitness import Finding
from sia_tui.core.hashing import digest
from sia_tui.engine.session import EngineError
from sia_tui.engine.tasks import verifier_of
from sia_tui.engine.tissues import TissueVerifier
from sia_tui.harness.sandbox import Isolation
from sia_tui.store.workspace import Workspace
from sia_tui.tasks import check, fit
from sia_tui.tasks.denoise import task as denoise
from sia_tui.tasks.probe import Probe
from sia_tui.tasks.task import Task
from sia_tui.tasks.trimul import cases as kernels
from sia_tui.tasks.verifier import VerifierFailed, VerifierProcess
from sia_tui.tasks.verifier_pool import VerifierPool


class Unfit(EngineError):
    """A row of the evaluator fails, and nobody has accepted the risk."""


Verifier = VerifierProcess | VerifierPool | TissueVerifier
Say = Callable[[int, int], None]
"""How many answers are judged, and of how many."""
ASKING: Final = ("core/fitness.py", "tasks/attempts.py", "tasks/check.py", "tasks/fit.py", "tasks/probe.py")


async def examine(
    workspace: Workspace, task: Task, verifier: Verifier, level: Isolation, dev: int, say: Say, full: bool = False
) -> tuple[tuple[Finding, ...], bool]:
    """Every row of the task, by a verifier that runs, and whether they were known before. `dev`: cases that gains are
    measured on. In `full` every attempt is made; else, where they take long, one of each kind."""
    about = [verifier.verifier_hash, task.split_hash, level, dev, _questions()]
    known, thorough = (workspace.folder("fitness") / f"{digest([*about, all])[:16]}.json" for all in (full, True))
    for path in (thorough, known):
        if path.exists():
            return tuple(build(Finding, row) for row in json.loads(path.read_text(encoding="utf-8"))), True
    probe = probe_of(task) if full else probe_of(task).quick()
    split, asked = await asyncio.gather(asyncio.to_thread(check.check_split, task), fit.ask(probe, verifier, dev, say))
    found = (*split, *asked)
    _write(known, json.dumps([asdict(row) for row in found], ensure_ascii=False))
    return found, False


async def check_task(workspace: Workspace, task: Task, level: Isolation, say: Say) -> tuple[Finding, ...]:
    """`examine` in full, by a verifier of its own."""
    with tempfile.TemporaryDirectory(prefix="fit-") as folder:
        try:
            async with verifier_of(task, Path(folder).resolve() / "verifier", level) as verifier:
                dev = len(task.ids("dev"))
                return (await examine(workspace, task, verifier, level, dev, say, full=True))[0]
        except VerifierFailed as fault:
            return (*check.check_split(task), fit.down(fault))


def probe_of(task: Task) -> Probe:
    if task.name == denoise.NAME and isinstance(task, denoise.DenoiseTask):
        from sia_tui.tasks.probes import tissues

        return tissues.probe(task)
    if task.name == kernels.NAME:
        from sia_tui.tasks.probes import kernels as asked

        return asked.probe(task)
    from sia_tui.tasks.probes import texts

    return texts.probe(task)


def refusal(rows: Sequence[Finding], run: str) -> str:
    """One line: which row fails, what to do, how to go on all the same."""
    first, more = rows[0], ", ".join(row.row for row in rows[1:])
    also = f" (and so do: {more})" if more else ""
    accept = " ".join(f"--accept-risk {row.row} --reason T" for row in rows)
    return (
        f"the evaluator is not fit: {first.row}: {first.found}{also}; {first.fix}; "
        f"or go on all the same: sia-tui resume {run} {accept}"
    )


def _questions() -> str:
    """Digest of all that decides what is asked and what is made of it."""
    room = Path(tasks.__path__[0])
    files = [Path(core.__path__[0]).parent / name for name in ASKING]
    files += sorted([*room.glob("probes/*.py"), *room.glob("exploits/*.yaml"), *room.glob("*/exploits/*.yaml")])
    return digest([path.read_text(encoding="utf-8") for path in files])


def _write(path: Path, content: str) -> None:
    draft = path.with_name(f".{path.name}.{time.monotonic_ns()}")
    draft.write_text(content, encoding="utf-8")
    draft.replace(path)
