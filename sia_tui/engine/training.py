"""The weights lever: a plan's training on the harness' own rollouts, the proof of what came out.

The trainer asks for rollouts of an adapter it has written; they are made by the incumbent's harness in the sandbox,
through the gateway, on train cases, and stored one by one. So a training that was killed finds its rollouts again.
"""

from __future__ import annotations

import asyncio
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sia_tui.core import events as ev
from sia_tui.core.episodes import Attempt, Score
from sia_tui.core.nodes import held_twice
from sia_tui.core.plans import OFFLINE, TrainPlan
from sia_tui.core.room import DiskFull
from sia_tui.core.state import MACHINE, Step
from sia_tui.core.text import one_line
from sia_tui.core.trainings import EARLY
from sia_tui.engine import planning
from sia_tui.engine.hardware import this_machine
from sia_tui.engine.leaving import Grace, called_off
from sia_tui.engine.lots import Trial
from sia_tui.engine.prepare import policy_folder
from sia_tui.engine.proof import NotAsTrained, probe_gap
from sia_tui.engine.readings import Readings
from sia_tui.engine.rollout import Interrupted
from sia_tui.engine.sampling import Sampling, sampling, training_cases
from sia_tui.engine.saved import what_is_saved
from sia_tui.engine.session import EngineError, Session, gpus_for_ray
from sia_tui.engine.trainer import ALL_SERVE, Trainer, TrainerDied
from sia_tui.policy.adapters import adapter_hash
from sia_tui.policy.client import GatewayError
from sia_tui.weights import protocol as wire
from sia_tui.weights.whole import copy

TRIES = 3
"""Starts of one trainer without an optimizer step more: whoever dies three times so does not die by accident."""
POLL_S = 0.3


async def train(session: Session, step: Step) -> None:
    """Carry the plan out, from wherever an earlier engine left it. A failed one refuses the step.

    Raises DiskFull, and what rollouts raise: the plan goes on from there when it is asked for again.
    """
    best = session.state.best
    assert best is not None
    if step.training is None:
        turns = planning.in_turns(session.config, plan_of(step), session.state, session.reader)
        session.record(ev.TrainingBegan(step.id, best.adapter, turns))
    tries, reached = 0, -1
    while True:
        try:
            trained, job = await _train(session, session.state.step(step.id))
            break
        except TrainerDied as death:
            steps = session.reader.metrics(step.id, after=reached)
            tries, reached = (1, steps[-1].step) if steps else (tries + 1, reached)
            if tries >= TRIES:
                return _refuse(session, step, str(death), by=MACHINE)
            saved = what_is_saved(session.store, session.paths)
            session.record(ev.TrainerLost(step.id, one_line(str(death), 400), saved))
    if isinstance(trained, wire.Failed):
        return _refuse(session, step, trained.reason)
    await _publish(session, step, job, trained)


async def _train(session: Session, step: Step) -> tuple[wire.Trained | wire.Failed, wire.Job]:
    """Raises Interrupted, TrainerDied, DiskFull, and what rollouts raise."""
    job = await _job(session, step)
    if fault := _held_twice(session):
        return wire.Failed(reason=fault), job
    grace = Grace(session.config.engine.grace_s, session.interrupted, lambda: session.state.stop_asked is not None)
    async with (
        sampling(session, step, job.plan, grace.over) as rollouts,
        Trainer(job, session.paths.logs / "trainer.log") as trainer,
        Readings(session.health, lambda: session.meter.newest) as readings,
    ):
        _begin(session, step, job.plan, rollouts)
        # Cloning's own rollouts are stored one by one: before its first step there is nothing to make a checkpoint of.
        grace.hurried = lambda: rollouts.counted or session.state.stop_asked is not None
        while True:
            match await heard(session, step, trainer, grace):
                case wire.Need() as need:
                    await session.wake()
                    await trainer.tell(await _answer(session, need, rollouts))
                case wire.Turn(id=turn):
                    await session.sleep()
                    await trainer.tell(wire.Told(id=turn, rollouts=()))
                case wire.Metrics(step=made, values=values):
                    if rollouts.counted:
                        rollouts.counted = False
                        session.report.phase(f"training {step.id}", job.plan.steps)
                    session.store.metrics(step.id, made, values | readings.take())
                    session.report.at(made, _note(values))
                case wire.Notice(text=text):
                    session.report.say(f"{step.id}: {one_line(text, 300)}")
                case wire.Full(reason=reason):
                    raise DiskFull(reason)
                case wire.Left(step=made):
                    session.report.say(f"{step.id}: checkpoint of step {made}")
                    raise Interrupted
                case wire.Trained() | wire.Failed() as end:
                    return end, job


def _begin(session: Session, step: Step, plan: TrainPlan, rollouts: Sampling) -> None:
    """Cloning makes all its rollouts before its first step: until then these are what is counted."""
    rollouts.counted = plan.algorithm in OFFLINE
    if rollouts.counted:
        session.report.phase(f"rollouts for {step.id}", plan.cases * plan.samples + plan.held_out)
    else:
        session.report.phase(f"training {step.id}", plan.steps)


async def _job(session: Session, step: Step) -> wire.Job:
    assert step.training is not None
    plan, turns = plan_of(step), step.training.in_turns
    cases, held_out = training_cases(session, plan)
    names, stopped_by = [case.id for case in cases], [case.id for case in held_out]
    job = await job_of(session, plan, names, stopped_by, session.paths.training / step.id)
    return job.model_copy(update={"plan": replace(plan, staleness=0), "in_turns": True}) if turns else job


async def job_of(
    session: Session, plan: TrainPlan, cases: Sequence[str], held_out: Sequence[str], folder: Path
) -> wire.Job:
    """What a trainer is started with: the incumbent's adapter to go on from, and the config's way of computing."""
    best, config = session.state.best, session.config.weights
    assert best is not None
    return wire.Job(
        plan=plan,
        model=await policy_folder(session),
        parent=session.paths.adapter(best.adapter) if best.adapter else None,
        cases=tuple(cases),
        held_out=tuple(held_out),
        folder=folder,
        out=folder / "adapter",
        threads=config.threads,
        workers=config.workers,
        cluster=await session.cluster() if config.workers > 1 else None,
        device="cuda" if this_machine(config.device).gpus or _elsewhere(session) else "cpu",
        dtype=config.dtype,
        micro_tokens=config.micro_tokens or 0,
        gradient_checkpointing=config.gradient_checkpointing,
    )


def _held_twice(session: Session) -> str:
    """Why a training's processes may come to sit beside the policy, or nothing."""
    config = session.config
    left = gpus_for_ray(config)
    if config.weights.workers == 1 or left is None:
        return ""
    machine = this_machine(config.weights.device).gpus
    if config.cluster.address is None:
        return ALL_SERVE if config.cluster.executor == "ray" and machine and not left else ""
    serving = len(config.weights.serve_on) or config.tensor_parallel
    return held_twice(session.state.nodes, machine, serving)


def _elsewhere(session: Session) -> bool:
    """Whether a training's processes may find GPUs on other machines; each then sees for itself."""
    return session.config.weights.workers > 1 and session.config.weights.device != "cpu"


async def heard(session: Session, step: Step, trainer: Trainer, grace: Grace | None = None) -> wire.Said:
    """The next thing the trainer says; tells it meanwhile when a person ends the training early, or when it is to leave.

    Raises Interrupted when the run is to pause or stop, and within a `grace` only once that is over; TrainerDied.
    """
    hearing = asyncio.create_task(trainer.hear())
    known, leaves = session.state.step(step.id).cut_short_by, False
    try:
        while not hearing.done():
            await asyncio.wait({hearing}, timeout=POLL_S)
            session.report.beat()
            if session.interrupted() and (grace is None or grace.over()):
                raise Interrupted
            if session.interrupted() and not leaves:
                leaves = True
                await trainer.tell(wire.Told(id=-1, rollouts=(), leave=True))
            if (cut := session.state.step(step.id).cut_short_by) != known:
                known = cut
                await trainer.tell(wire.Told(id=-1, rollouts=(), stop=_cut(cut)))
        return hearing.result()
    finally:
        with suppress(TrainerDied):
            await called_off(hearing)


async def _answer(session: Session, need: wire.Need, rollouts: Sampling) -> wire.Told:
    cases = [session.task.cases[name] for name in need.cases]
    if any(case.split != "train" for case in cases):
        raise EngineError("the trainer asked for a case that is not train's")
    firsts = need.first or (0,) * len(cases)
    numbered = zip(cases, firsts, strict=True)
    trials = [Trial(case, first + sample) for case, first in numbered for sample in range(need.samples)]
    made = await rollouts.make(need.adapter, need.purpose, need.step, trials)
    told = tuple(as_told(trial, *both) for trial, both in zip(trials, made, strict=True))
    cut = session.state.step(rollouts.proposal).cut_short_by
    return wire.Told(id=need.id, rollouts=told, stop=_cut(cut), leave=session.interrupted())


def _cut(by: str | None) -> str:
    return f"{EARLY}{by}" if by else ""


def as_told(trial: Trial, attempt: Attempt, score: Score) -> wire.Rollout:
    """What the scaffold answered without the policy earns the policy nothing."""
    calls = tuple(
        wire.SampledCall(
            messages=tuple(dict(message) for message in call.messages),
            prompt_ids=call.prompt_ids,
            completion_ids=call.completion_ids,
            logprobs=call.logprobs,
            truncated=call.finish_reason == "length",
        )
        for call in attempt.calls
    )
    earned = attempt.source == "policy"
    return wire.Rollout(
        case=trial.case.id,
        sample=trial.sample,
        reward=score.reward if earned else 0.0,
        solved=earned and score.failure is None,
        calls=calls,
        metrics={name: value for name, value in score.metrics.items() if earned and math.isfinite(value)},
    )


async def _publish(session: Session, step: Step, job: wire.Job, trained: wire.Trained) -> None:
    """Under its content's own name, with its manifest; then what is served is compared with what was trained."""
    sha256 = adapter_hash(job.out)
    manifest = _manifest(session, step, job, trained) | {"adapter": sha256}
    (job.out / "manifest.json").write_text(json.dumps(manifest, indent=1))
    folder = session.paths.adapter(sha256)
    copy(job.out, folder)
    moved = [module for module, change in trained.moved.items() if change > 0]
    if not moved:
        return _refuse(session, step, "the weights did not move")
    gateway = (await session.place(await policy_folder(session))).gateway
    try:
        gap = await probe_gap(gateway, await session.served(gateway, sha256), trained.probe)
    except NotAsTrained as fault:
        return _refuse(session, step, str(fault))
    except GatewayError as fault:
        return _refuse(session, step, str(fault), by=MACHINE)
    session.record(
        ev.AdapterTrained(
            step.id,
            sha256,
            trained.steps,
            trained.best_step,
            trained.stopped,
            trained.held_out_before,
            trained.held_out_after,
            len(session.reader.sampled(step.id)),
            session.state.cost.wall_s - session.state.step(step.id).spent_before,
            len(trained.moved),
            len(moved),
            gap,
        )
    )
    clear(session)


def clear(session: Session) -> None:
    """Remove what trainings that are over left on the disk."""
    current = session.state.current
    for folder in session.paths.training.glob("*"):
        if current is None or folder.name != current.id or current.trained is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _manifest(session: Session, step: Step, job: wire.Job, trained: wire.Trained) -> dict[str, Any]:
    policy, begun = session.state.policy_ready, session.state.step(step.id).training
    assert policy is not None and begun is not None
    return {
        "parent": begun.parent_adapter,
        "base_model": policy.sha256,
        "plan": asdict(job.plan),
        "data": trained.data,
        "moved": trained.moved,
        "best_step": trained.best_step,
    }


def _refuse(session: Session, step: Step, reason: str, by: str = "training") -> None:
    saved = what_is_saved(session.store, session.paths)
    session.record(ev.ProposalRefused(step.id, by, one_line(reason, 1000), saved))


def plan_of(step: Step) -> TrainPlan:
    assert step.proposal.plan is not None
    return step.proposal.plan


def _note(values: Mapping[str, float]) -> str:
    shown = [
        f"{name.replace('_', ' ')} {values[name]:.3f}" for name in ("reward", "held_out", "useful") if name in values
    ]
    return ", ".join(shown)
