"""How an event changes a run's state: pure, one rule an event."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import singledispatch
from typing import Any

from sia_tui.core import events as ev
from sia_tui.core import replicas
from sia_tui.core.choosing import light
from sia_tui.core.contract import BY, Standing
from sia_tui.core.fitness import Risk
from sia_tui.core.fitting import rehearsal_light
from sia_tui.core.nodes import after, left_alone
from sia_tui.core.state import Generation, State, Status, Step, undecided


def fold(recorded: Iterable[ev.Recorded], state: State | None = None) -> State:
    """The state after `recorded`, from the beginning or from an earlier `state`."""
    state = state or State()
    for entry in recorded:
        state = advance(state, entry)
    return state


def advance(state: State, entry: ev.Recorded) -> State:
    state = _stamp(_on(entry.event, _clock(state, entry)), entry)
    return replace(state, last_at=entry.at)


def _stamp(state: State, entry: ev.Recorded) -> State:
    """The times that are shown or that a commit is dated by."""
    match entry.event:
        case ev.RunCreated():
            return replace(state, created_at=entry.at)
        case ev.RiskAccepted(row=row, reason=reason, by=by):
            others = tuple(risk for risk in state.risks if risk.row != row)
            return replace(state, risks=(*others, Risk(row, reason, by, entry.at)))
        case ev.ProposalMade(id=proposal):
            return _step(state, proposal, made_at=entry.at)
        case ev.ProposalAmended(id=proposal):
            return _step(state, proposal, ended_at=entry.at)
        case ev.GateOpened(gate=gate):
            return _step(state, gate.proposal, asked_at=entry.at)
        case ev.EngineStarted() | ev.NodeJoined() | ev.NodeRefused() | ev.NodeLost():
            return replace(state, gpus_since=entry.at)
        case ev.TestOpened():
            return replace(state, test_opened_at=entry.at)
        case ev.Evaluated() | ev.GenerationKept() | ev.GenerationRolledBack() | ev.ProposalRefused():
            return replace(state, settled_s=state.cost.wall_s)
    return state


def _clock(state: State, entry: ev.Recorded) -> State:
    if state.last_at is None or state.idle or isinstance(entry.event, ev.EngineStarted):
        return state
    worked_until = entry.event.since if isinstance(entry.event, ev.Unattended) else entry.at
    passed = (datetime.fromisoformat(worked_until) - datetime.fromisoformat(state.last_at)).total_seconds()
    return replace(state, cost=state.cost.worked(max(0.0, passed), state.gpus))


@singledispatch
def _on(event: Any, state: State) -> State:
    raise TypeError(f"no rule for {type(event).__name__}")


@_on.register
def _(event: ev.RunCreated, state: State) -> State:
    return replace(
        state,
        run=event.run,
        task=event.task,
        config_hash=event.config_hash,
        parent=event.parent,
        start_commit=event.start_commit,
        start_adapter=event.start_adapter,
    )


@_on.register
def _(event: ev.EngineStarted, state: State) -> State:
    if state.status == "failed":
        state = replace(state, status="running", stop_reason=None)
    return replace(state, engine=event, nodes=left_alone(state.nodes), replicas=())


@_on.register
def _(event: ev.Unattended, state: State) -> State:
    return state


@_on.register(ev.NodeJoined)
@_on.register(ev.NodeRefused)
@_on.register(ev.NodeLost)
@_on.register(ev.EpisodesReissued)
def _(event: ev.NodeJoined | ev.NodeRefused | ev.NodeLost | ev.EpisodesReissued, state: State) -> State:
    return replace(state, nodes=after(state.nodes, event))


@_on.register(ev.ReplicasServe)
@_on.register(ev.ReplicaOut)
@_on.register(ev.ReplicaBack)
def _(event: ev.ReplicasServe | ev.ReplicaOut | ev.ReplicaBack, state: State) -> State:
    return replace(state, replicas=replicas.after(state.replicas, event))


@_on.register
def _(event: ev.GateDeferred, state: State) -> State:
    return state


@_on.register
def _(event: ev.TaskReady, state: State) -> State:
    return replace(state, task_ready=event)


@_on.register
def _(event: ev.EvaluatorChecked, state: State) -> State:
    return replace(state, findings=event.findings)


@_on.register
def _(event: ev.RiskAccepted, state: State) -> State:
    return state


@_on.register
def _(event: ev.PolicyReady, state: State) -> State:
    return replace(state, policy_ready=event)


@_on.register
def _(event: ev.BaselinesMeasured, state: State) -> State:
    return replace(state, baselines_dev=event.dev)


@_on.register
def _(event: ev.BaselinesTested, state: State) -> State:
    return replace(state, baselines_test=event.test)


@_on.register
def _(event: ev.GenerationCreated, state: State) -> State:
    generation = Generation(
        event.index, event.lever, event.commit, event.tree, event.key, event.adapter, event.parent, event.proposal
    )
    state = replace(state, generations=(*state.generations, generation))
    if event.parent is None:
        state = replace(_generation(state, event.index, kept=True), incumbent=event.index)
        return state if event.proposal is None else _step(state, event.proposal, candidates=(event.index,), closed=True)
    assert event.proposal is not None
    return _step(state, event.proposal, candidates=(*state.step(event.proposal).candidates, event.index))


@_on.register
def _(event: ev.EpisodeDone, state: State) -> State:
    cost = replace(state.cost, episodes=state.cost.episodes + 1, tokens=state.cost.tokens + event.tokens)
    return replace(state, cost=cost)


@_on.register
def _(event: ev.Evaluated, state: State) -> State:
    results = {**state.generations[event.generation].results, event.split: event}
    return _generation(state, event.generation, results=results)


@_on.register
def _(event: ev.ProposalMade, state: State) -> State:
    step = Step(event.id, event.proposal, advice=event.advice, began_s=state.cost.wall_s)
    was = state.amends(step)
    step = replace(step, began_s=was.began_s) if was else step
    # What was wanted of one generation may get its turn on another.
    left = [
        one for one in state.wanted if replace(one.proposal, base_commit=step.proposal.base_commit) != step.proposal
    ]
    return replace(state, steps=(*state.steps, step), wanted=tuple(left))


@_on.register
def _(event: ev.ProposalWanted, state: State) -> State:
    return replace(state, wanted=(*state.wanted, event))


@_on.register
def _(event: ev.ProposalChecked, state: State) -> State:
    return _step(state, event.id, lights=event.lights, commit=event.commit, tree=event.tree, record=event.record)


@_on.register
def _(event: ev.PreviewDone, state: State) -> State:
    return _step(state, event.id, preview=event.preview, wanted=None)


@_on.register
def _(event: ev.PilotDone, state: State) -> State:
    """The pilot lights two more lights: whether the plan's algorithm is the one that it recommends, and whether its first
    steps could be made."""
    step = state.step(event.id)
    plan, advised, made = step.proposal.plan, event.advised, event.pilot.rehearsal
    lit = [light(plan, advised)] if plan and advised else []
    lit += [rehearsal_light(made)] if made else []
    return _step(state, event.id, pilot=event, lights=(*(step.lights or ()), *lit) if lit else step.lights)


@_on.register
def _(event: ev.ProposalReviewed, state: State) -> State:
    lights = (*(state.step(event.id).lights or ()), event.review.light)
    return _step(state, event.id, review=event.review, lights=lights)


@_on.register
def _(event: ev.TrainingBegan, state: State) -> State:
    return _step(state, event.id, training=event, spent_before=state.cost.wall_s)


@_on.register
def _(event: ev.TrainerLost, state: State) -> State:
    return state


@_on.register
def _(event: ev.TrainingCutShort, state: State) -> State:
    return _step(state, event.id, cut_short_by=event.by)


@_on.register
def _(event: ev.AdapterTrained, state: State) -> State:
    return _step(state, event.id, trained=event)


@_on.register
def _(event: ev.AgentCalled, state: State) -> State:
    cost = state.cost
    tokens, money = cost.agent_tokens + event.tokens_in + event.tokens_out, cost.money + (event.cost or 0.0)
    return replace(state, cost=replace(cost, calls=cost.calls + 1, agent_tokens=tokens, money=money))


@_on.register
def _(event: ev.AgentFailed, state: State) -> State:
    return state


@_on.register
def _(event: ev.GateOpened, state: State) -> State:
    return _step(state, event.gate.proposal, gates=(*state.step(event.gate.proposal).gates, event.gate))


@_on.register
def _(event: ev.VerdictGiven, state: State) -> State:
    step = next(step for step in state.steps if any(gate.id == event.verdict.gate for gate in step.gates))
    if state.contract is not None and event.verdict.by.startswith(BY):
        state = replace(state, contract=replace(state.contract, given=state.contract.given + 1))
    return _step(state, step.id, verdicts=(*step.verdicts, event.verdict))


@_on.register
def _(event: ev.ContractMade, state: State) -> State:
    cost = state.cost if event.tokens is None else replace(state.cost, tokens=event.tokens)
    measured = sum(bool(step.measures) for step in state.steps)
    under_way = state.current is not None
    standing = Standing(
        event.contract, event.by, cost, len(state.steps), len(state.alarms), measured, under_way=under_way
    )
    return replace(state, contract=standing, contract_ended="")


@_on.register
def _(event: ev.ContractEnded, state: State) -> State:
    return replace(state, contract=None, contract_ended=event.why)


@_on.register
def _(event: ev.ProposalRefused, state: State) -> State:
    return _step(state, event.id, refused=event, closed=True, ended_s=state.cost.wall_s)


@_on.register
def _(event: ev.ProposalAmended, state: State) -> State:
    return _step(state, event.id, amended=event, closed=True, ended_s=state.cost.wall_s)


@_on.register
def _(event: ev.Measured, state: State) -> State:
    return _step(state, event.id, measures=(*state.step(event.id).measures, event))


@_on.register
def _(event: ev.Alarmed, state: State) -> State:
    state = replace(state, alarms=(*state.alarms, event))
    if event.proposal is None:
        return state
    return _step(state, event.proposal, lights=(*(state.step(event.proposal).lights or ()), event.light))


@_on.register
def _(event: ev.GenerationKept, state: State) -> State:
    return replace(_decided(state, event.index, True, event.why), incumbent=event.index)


@_on.register
def _(event: ev.GenerationRolledBack, state: State) -> State:
    return _decided(state, event.index, False, event.why)


@_on.register
def _(event: ev.WentBack, state: State) -> State:
    return replace(state, incumbent=event.index)


@_on.register
def _(event: ev.RunPaused, state: State) -> State:
    return replace(state, status="paused", stop_reason=event.why or None)


@_on.register
def _(event: ev.RunResumed, state: State) -> State:
    return replace(state, status="running", stop_reason=None)


@_on.register
def _(event: ev.StopAsked, state: State) -> State:
    """A step under way ends here too: undecided if a person broke the run off, done if it was the proposal to stop."""
    if state.current is not None:
        state = _step(state, state.current.id, closed=True)
    return replace(state, stop_asked=event, status="running", stop_reason=None)


@_on.register
def _(event: ev.TestOpened, state: State) -> State:
    return replace(state, test_opened=event)


@_on.register
def _(event: ev.RunEnded, state: State) -> State:
    return replace(state, status=_ending(event.status), stop_reason=event.reason)


@_on.register
def _(event: ev.MeasuredAgain, state: State) -> State:
    return replace(state, again=(*state.again, event))


@_on.register
def _(event: ev.EvidenceWanted, state: State) -> State:
    """The gate is as if it had not been put: time runs again, nobody is asked, and the next one has its id."""
    step = next(step for step in state.steps if any(gate.id == event.gate for gate in step.gates))
    gates, withdrawn = step.gates[:-1], (*step.withdrawn, step.gates[-1])
    return _step(state, step.id, gates=gates, withdrawn=withdrawn, wanted=event)


@_on.register
def _(event: ev.EvidenceFound, state: State) -> State:
    return _step(state, event.id, evidence=(*state.step(event.id).evidence, event), wanted=None)


@_on.register
def _(event: ev.EvidenceMissed, state: State) -> State:
    return _step(state, event.id, wanted=None)


@_on.register
def _(event: ev.Attributed, state: State) -> State:
    return replace(state, tables=(*state.tables, event))


@_on.register
def _(event: ev.Matched, state: State) -> State:
    return _step(state, event.id, matched=event)


@_on.register
def _(event: ev.Traced, state: State) -> State:
    return _step(state, event.id, traced=event)


def _ending(status: str) -> Status:
    return "done" if status == "done" else "stopped" if status == "stopped" else "failed"


def _generation(state: State, index: int, **changes: Any) -> State:
    changed = replace(state.generations[index], **changes)
    return replace(state, generations=(*state.generations[:index], changed, *state.generations[index + 1 :]))


def _step(state: State, proposal: str, **changes: Any) -> State:
    steps = tuple(replace(step, **changes) if step.id == proposal else step for step in state.steps)
    return replace(state, steps=steps)


def _decided(state: State, index: int, kept: bool, why: str) -> State:
    """A step is over when none of its candidates is left to decide on."""
    proposal = state.generations[index].proposal
    state = _generation(state, index, kept=kept, why=why)
    if proposal is None:
        return state
    over = not undecided(state, state.step(proposal))
    return _step(state, proposal, closed=over, ended_s=state.cost.wall_s if over else None)
