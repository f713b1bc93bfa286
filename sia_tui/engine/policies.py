"""The base model of a run: the nano model trained here, a folder on this machine, or a name at an address."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sia_tui.core.hashing import digest
from sia_tui.engine.jobs import run_job
from sia_tui.engine.session import EngineError, Session
from sia_tui.flock import got
from sia_tui.policy import base, nano
from sia_tui.tasks.task import text_of

TRAINING_S = 7200.0
LOOK_S = 0.2
"""How often it is looked whether another run's training of the same policy is over."""


@dataclass(frozen=True)
class Base:
    folder: Path
    """Of a remote model an empty one."""
    told: str
    sha256: str
    """Of weights, configuration and tokenizer; of a remote model only of its name and address."""


async def base_of(session: Session) -> Base:
    """Raises EngineError for a model that is not here."""
    policy = session.config.policy
    if policy.backend == "remote":
        return _remote(session)
    if policy.kind == "nano":
        return await _nano(session)
    try:
        return await _model(session)
    except base.ModelMissing as missing:
        raise EngineError(str(missing)) from None


def _remote(session: Session) -> Base:
    policy = session.config.policy
    sha256 = digest(["remote", policy.address, policy.model])
    folder = session.workspace.folder("policies") / f"remote-{sha256[:16]}"
    folder.mkdir(exist_ok=True)
    return Base(folder, f"{policy.model} at {policy.address}: not ours to train, harness lever only", sha256)


async def _model(session: Session) -> Base:
    """The digest is kept beside the other policies for as long as no file changes."""
    folder = await asyncio.to_thread(base.find, session.config.policy.model or "")
    store = session.workspace.folder("policies")
    if not base.digest_file(folder, store).exists():
        session.report.phase("reading the policy's weights once, for their digest")
    sha256 = await asyncio.to_thread(base.remembered, folder, store)
    return Base(folder, f"{session.config.policy.name}, {base.size(folder) / 1e6:,.0f} MB", sha256)


async def _nano(session: Session) -> Base:
    """Trained unless it is there."""
    task, recipe = session.task, session.config.policy.recipe
    if not task.labels and task.forms is None:
        raise EngineError(
            f"the nano policy answers with one of a task's labels, and {task.name} has none: set policy.kind to model"
        )
    texts, answers = [text_of(row.inputs) for row in task.rows("all")], list(task.labels)
    if task.forms is not None:
        prompt = (session.seed / "prompt.md").read_text(encoding="utf-8").strip()
        texts, answers = [prompt.format(**row.inputs) for row in task.rows("all")], list(task.forms.slots)
        recipe = recipe.model_copy(update={"form": "plan"})
    folder = session.workspace.folder("policies") / f"nano-{nano.recipe_hash(recipe, texts, answers)}"
    if not (folder / "manifest.json").exists():
        async with _alone(session, folder):
            if not (folder / "manifest.json").exists():
                await _train(session, recipe, texts, answers, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    told = f"{folder.name}, {manifest['parameters'] / 1e6:.1f} M parameters"
    return Base(folder, told, manifest["weights_sha256"])


@asynccontextmanager
async def _alone(session: Session, folder: Path) -> AsyncIterator[None]:
    """Of runs that want the same policy one trains it and the others wait, each for as long as a training may take."""
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        try:
            async with asyncio.timeout(TRAINING_S):
                if not got(lock.fileno()):
                    session.report.phase("waiting for another run, which trains the same nano policy")
                    while not got(lock.fileno()):  # noqa: ASYNC110 - another process' lock wakes nobody
                        await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise EngineError(
                f"another run has been training {folder.name} for {TRAINING_S / 3600:g} h: stop it, and resume this one"
            ) from None
        yield


async def _train(session: Session, recipe: nano.NanoRecipe, texts: list[str], answers: list[str], folder: Path) -> None:
    job = session.paths.logs / "nano-job"
    job.mkdir(parents=True, exist_ok=True)
    (job / "texts.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    (job / "answers.json").write_text(json.dumps(answers))
    described = {
        "recipe": recipe.model_dump(),
        "texts_file": str(job / "texts.jsonl"),
        "answers_file": str(job / "answers.json"),
        "out_dir": str(folder),
    }
    (job / "job.json").write_text(json.dumps(described))
    session.report.phase("training the nano policy", recipe.steps)
    await run_job(
        [sys.executable, "-m", "sia_tui.policy.nano", "--job", str(job / "job.json")],
        session.paths.logs / "nano.log",
        lambda said: session.report.at(int(said["done"]), f"loss {said['loss']:.2f}"),
        TRAINING_S,
    )
