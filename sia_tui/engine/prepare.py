"""Before generation 0: the task's facts, the null baselines, the policy, the first harness."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

from sia_tui.config import RunConfig
from sia_tui.core import events as ev
from sia_tui.core.consent import audit
from sia_tui.core.episodes import Case, Score
from sia_tui.core.state import State
from sia_tui.core.text import one_line
from sia_tui.engine.fitness import Verifier, examine
from sia_tui.engine.jobs import run_job
from sia_tui.engine.policies import base_of
from sia_tui.engine.session import EngineError, Session, serving_hash
from sia_tui.engine.tissues import null_rewards
from sia_tui.harness.repository import HarnessRepository
from sia_tui.tasks import baselines, trimul
from sia_tui.tasks.denoise.task import DenoiseTask
from sia_tui.tasks.task import Task
from sia_tui.tasks.trimul import cases as kernels
from sia_tui.tasks.trimul.gpu import task as modules
from sia_tui.tasks.verifier import VerifierProcess
from sia_tui.tasks.verifier_pool import VerifierPool

BASELINES_S = 1800.0
NAMED = 3
"""Files that are named where the verifier is another one."""


async def prepare_task(session: Session) -> None:
    task = session.task
    counts = {split: len(task.ids(split)) for split in ("train", "dev", "hidden", "test")}
    session.record(ev.TaskReady(task.split_hash, task.test_hash, session.verifier.verifier_hash, counts))


async def check_evaluator(session: Session) -> None:
    """Before anything is spent: what the verifier must and must not pay. Nothing is asked that the workspace knows already."""
    phase = "asking the verifier what it must not pay"

    def say(done: int, all: int) -> None:
        if done == 1:
            session.report.phase(phase, all)
        session.report.at(done)

    session.report.phase(phase)
    dev = len(session.cases("dev", session.config.evaluate.dev))
    found, known = await examine(session.workspace, session.task, session.verifier, session.level, dev, say)
    session.record(ev.EvaluatorChecked(found, known))


def require_consent(session: Session) -> None:
    """Raises EngineError if the log is not the one that people gave their verdicts in."""
    if faults := audit(session.reader.written()).faults:
        raise EngineError(f"the log was changed: {faults[0]}; see: sia-tui audit {session.state.run}")


def require_same_task(state: State, task: Task, verifier: Verifier) -> None:
    """Before the verifier is entered, which writes its own files in the place of the run's. Raises EngineError if the data or
    the verifier are not what the run began with."""
    ready = state.task_ready
    if ready is None:
        return
    if ready.split_hash != task.split_hash or ready.test_hash != task.test_hash:
        raise EngineError(f"the data of task {task.name} changed since this run began; start a new run")
    if ready.verifier_hash != verifier.verifier_hash:
        found = [one_line(line, 200) for line in verifier.unlike()]
        more = f" (and {len(found) - NAMED} more)" if len(found) > NAMED else ""
        what = f": {', '.join(found[:NAMED])}{more}" if found else " (nothing is left to compare it with)"
        raise EngineError(f"the verifier changed since this run began{what}; put back what it was, or start a new run")


def require_ray(config: RunConfig) -> None:
    """Raises EngineError where a training of several processes could not be started: that would be known only once it was
    proposed, tried on rollouts and approved."""
    if config.weights.workers > 1 and "weights" in config.agents.levers and find_spec("ray") is None:
        raise EngineError(
            f"weights.workers: {config.weights.workers} needs Ray: pip install '.[ray]', or --set weights.workers=1"
        )


async def measure_baselines(session: Session) -> None:
    """Predictions for dev and test cases are made without their labels; only dev is scored now."""
    if not session.task.labels and session.task.forms is not None:
        session.record(ev.BaselinesMeasured(await baseline_scores(session, "dev", session.config.evaluate.dev)))
        return
    job = _baselines_job(session)
    if not (job.parent / "predictions.json").exists():
        session.report.phase("null baselines", len(baselines.fitting(session.task.labels)))
        await run_job(
            baselines.command(job),
            session.paths.logs / "baselines.log",
            lambda said: session.report.at(int(said["done"]), str(said["what"])),
            BASELINES_S,
        )
    session.record(ev.BaselinesMeasured(await baseline_scores(session, "dev", session.config.evaluate.dev)))


async def baseline_scores(session: Session, split: Any, n: int | None) -> dict[str, float]:
    """Mean reward of each null baseline, by the run's own verifier."""
    cases = session.cases(split, n)
    if isinstance(session.task, DenoiseTask):
        session.report.phase("null baselines", len(cases))
        folder = session.workspace.folder("baselines") / session.task.split_hash[:16]
        log = session.paths.logs / "baselines.log"
        heard = lambda said: session.report.at(int(said["done"]), str(said["what"]))  # noqa: E731
        return await null_rewards(session.task, folder, split, cases, heard, log)
    if session.task.name == kernels.NAME:
        return await kernel_nulls(session, cases)
    if session.task.name == modules.NAME:
        return await module_nulls(session, cases)
    predicted = baselines.read_predictions(_baselines_job(session))
    answers = dict.fromkeys((case.id, said[case.id]) for said in predicted.values() for case in cases)
    scores = dict(zip(answers, await _scored(session, list(answers)), strict=True))
    return {name: fmean(scores[case.id, said[case.id]].reward for case in cases) for name, said in predicted.items()}


async def _scored(session: Session, answers: Sequence[tuple[str, str]]) -> list[Score]:
    """As many at once as the verifier judges at once; a user's own may take seconds for each."""
    session.report.phase("judging the null baselines", len(answers))
    judged = itertools.count(1)

    async def score(case: str, said: str) -> Score:
        found = await session.verifier.score(case, said)
        session.report.at(next(judged))
        return found

    asked = [asyncio.create_task(score(case, said)) for case, said in answers]
    try:
        return await asyncio.gather(*asked)
    finally:
        for task in asked:
            task.cancel()


async def kernel_nulls(session: Session, cases: Sequence[Case]) -> dict[str, float]:
    """The naive kernel against itself, and numpy's BLAS on one thread, timed as candidates are."""
    assert isinstance(session.verifier, VerifierPool)
    naive = (Path(trimul.__file__).with_name("naive.c")).read_text(encoding="utf-8")
    plain = await _scored(session, [(case.id, naive) for case in cases])
    session.report.phase("null baselines", len(cases))
    blas = []
    for done, case in enumerate(cases):
        blas.append((await session.verifier.null(case.id)).reward)
        session.report.at(done + 1)
    return {"naive": sum(score.reward for score in plain) / len(plain), "blas": sum(blas) / len(blas)}


async def module_nulls(session: Session, cases: Sequence[Case]) -> dict[str, float]:
    """Plain PyTorch against itself, timed as candidates are."""
    assert isinstance(session.verifier, VerifierProcess)
    session.report.phase("null baselines", len(cases))
    rewards = []
    for done, case in enumerate(cases):
        rewards.append((await session.verifier.null(case.id)).reward)
        session.report.at(done + 1)
    return {"plain": sum(rewards) / len(rewards)}


def _baselines_job(session: Session) -> Path:
    task = session.task
    folder = session.workspace.folder("baselines") / task.split_hash[:16]
    job = folder / "job.json"
    if not job.exists():
        asked = [task.cases[case] for split in ("dev", "test") for case in task.ids(split)]
        baselines.write_job(folder, task.rows("all"), asked, baselines.fitting(task.labels))
    return job


async def prepare_policy(session: Session) -> None:
    """The harness' environment is installed meanwhile: the disk's work beside the processor's."""
    base, _ = await asyncio.gather(base_of(session), session.environment())
    session.record(ev.PolicyReady(base.told, base.sha256, serving_hash(session.config)))


async def policy_folder(session: Session) -> Path:
    """The base model's folder. Raises EngineError if it is not the one this run began with."""
    base, ready = await base_of(session), session.state.policy_ready
    if ready and base.sha256 != ready.sha256:
        raise EngineError(f"{base.folder} is not the policy this run began with; start a new run")
    return base.folder


async def plant_seed(session: Session) -> None:
    """Generation 0: the house's harness, or the generation this run was branched from."""
    state = session.state
    repository, seed = HarnessRepository.plant(
        session.workspace.harness_repository, session.package, session.seed_files
    )
    base = state.start_commit or seed
    plant(session, base, repository.files(base, session.package), None)


def plant(session: Session, base: str, files: Mapping[str, str], proposal: str | None) -> None:
    """Begin the run's branch with these files. `proposal` is what a person said yes to, if anybody was asked."""
    state, package, repository = session.state, session.package, session.repository
    tree = repository.tree_of(base, package, files)
    subtree = repository.subtree(tree, package)
    about = f"g0 of {state.run}: " + (f"branched from {state.parent}" if state.parent else "the first harness")
    trailers = {"Run": state.run, "Lever": "seed"}
    generation = session.generation(subtree, state.start_adapter)
    commit = repository.commit_generation(tree, generation, base, about, trailers, state.created_at)
    repository.start_run(state.run, commit, session.paths.worktree)
    key = session.key(subtree, state.start_adapter)
    session.record(ev.GenerationCreated(0, None, commit, subtree, key, state.start_adapter, proposal=proposal))
