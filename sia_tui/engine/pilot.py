"""A plan's pilot: some of its own rollouts and its first optimizer steps, made before anybody is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from sia_tui.core import costs
from sia_tui.core import events as ev
from sia_tui.core.choosing import Setting, recommend
from sia_tui.core.episodes import Attempt
from sia_tui.core.plans import Pilot, Rehearsal, TrainPlan, estimate
from sia_tui.core.state import Step
from sia_tui.core.text import one_line
from sia_tui.engine.lots import Trial
from sia_tui.engine.planning import allotted, in_turns, seen
from sia_tui.engine.rehearsal import STEPS, rehearse, rehearsed
from sia_tui.engine.sampling import sampling, training_cases
from sia_tui.engine.session import Session
from sia_tui.engine.trainer import Trainer
from sia_tui.engine.training import as_told, heard, job_of, plan_of
from sia_tui.weights import protocol as wire
from sia_tui.weights.groups import in_groups
from sia_tui.weights.rehearsal import lessons

STEP_S = 1.0
"""Seconds an optimizer step is taken for where none could be made."""
SHOWN = 6
"""Best-paid rollouts, named for reading."""


async def pilot(session: Session, step: Step) -> None:
    """The training finds the rollouts done; of the steps only what they took is kept."""
    plan = plan_of(step)
    cases = training_cases(session, plan)[0][: session.config.weights.pilot]
    trials = [Trial(case, sample) for case in cases for sample in range(plan.samples)]
    async with sampling(session, step, plan) as rollouts:
        session.report.phase(f"pilot of {step.id}", len(trials))
        rollouts.counted = True
        made = await rollouts.make(None, "pilot", 0, trials)
    told = [as_told(trial, *both) for trial, both in zip(trials, made, strict=True)]
    named = [(paid, rollouts.name(None, trial, True)) for trial, paid in zip(trials, told, strict=True)]
    best = [name for paid, name in sorted(named, key=lambda pair: -pair[0].reward) if paid.solved]
    side_by_side = min(len(trials), session.config.harness.lanes)
    rehearsal = await _rehearsal(session, step, told)
    found = counted(plan, told, [attempt for attempt, _ in made], side_by_side, best[:SHOWN])
    # Where judging takes longer than answering, it is what a training waits for.
    found = replace(found, rehearsal=rehearsal, seconds=max(found.seconds, rollouts.pace or 0.0))
    incumbent, config = session.state.best, session.config
    setting = Setting(incumbent is not None and incumbent.adapter is not None, session.task.scores)
    advised = recommend(found, setting, config.weights.plans(config.seed))
    expected = estimate(plan, found, _step_seconds(session, plan, found)).seconds
    session.record(ev.PilotDone(step.id, found, expected, advised, allotted(config, plan, session.state)))


async def _rehearsal(session: Session, step: Step, told: Sequence[wire.Rollout]) -> Rehearsal:
    """In a folder of its own, which the training never sees."""
    plan = plan_of(step)
    groups = lessons(plan, in_groups(told, plan.samples))
    if not groups:
        return Rehearsal()
    cases, held_out = [group[0].case for group in groups], training_cases(session, plan)[1][:1]
    folder = session.paths.training / f"{step.id}-rehearsal"
    job = await job_of(session, rehearsed(plan), cases, [case.id for case in held_out], folder)
    if in_turns(session.config, plan, session.state, session.reader):
        await session.release()
    session.report.phase(f"{STEPS} steps of {step.id} for the pilot", STEPS)

    async def hear(trainer: Trainer) -> wire.Said:
        said = await heard(session, step, trainer)
        if isinstance(said, wire.Notice):
            session.report.say(f"{step.id}: {one_line(said.text, 300)}")
        if isinstance(said, wire.Metrics):
            session.report.at(said.step)
        return said

    return await rehearse(job, groups, session.paths.logs / "trainer.log", hear)


def _step_seconds(session: Session, plan: TrainPlan, found: Pilot) -> float:
    """Of an optimizer step without its rollouts: as rehearsed, else as earlier steps of the run took."""
    measured = costs.rehearsed(plan, found) or seen(session.state, session.reader)
    return measured.step_of(plan) or STEP_S


def counted(
    plan: TrainPlan, told: Sequence[wire.Rollout], attempts: Sequence[Attempt], side_by_side: int, best: Sequence[str]
) -> Pilot:
    """What the trainer would be told, counted. Stored rollouts tell as much as fresh ones: their own seconds."""
    groups = in_groups(told, plan.samples)
    solved = Counter(sum(rollout.solved for rollout in group) for group in groups)
    rewards = tuple(tuple(rollout.reward for rollout in group) for group in groups)
    calls = [call for attempt in attempts for call in attempt.calls]
    sampled = sum(len(call.completion_ids) for call in calls)
    episode_s = sum(attempt.seconds for attempt in attempts) / len(attempts)
    return Pilot(
        n=len(groups),
        samples=plan.samples,
        solved=tuple(solved[k] for k in range(plan.samples + 1)),
        useful=sum(len(set(paid)) > 1 for paid in rewards) / len(groups),
        seconds=episode_s / side_by_side,
        tokens=(sum(len(call.prompt_ids) for call in calls) + sampled) / len(told),
        episodes=tuple(best),
        rewards=rewards,
        sampled=sampled / len(told),
        calls=len(calls) / len(told),
        truncated=sum(call.finish_reason == "length" for call in calls) / max(1, len(calls)),
        episode_s=episode_s,
    )
