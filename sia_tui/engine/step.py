"""One step: propose, check, review, ask, apply, decide. Measuring is in evaluate.py."""

from __future__ import annotations

from dataclasses import asdict, replace

from sia_tui.agents import make_critic, make_feedback_agent
from sia_tui.agents.advisor import advise
from sia_tui.agents.protocol import Brief
from sia_tui.config import RunConfig
from sia_tui.core import events as ev
from sia_tui.core.amending import check_dropped
from sia_tui.core.checks import check_flagged, check_marked, check_patch, check_plan, check_served, check_tried
from sia_tui.core.contract import BY
from sia_tui.core.gates import Gate, GateKind, Verdict, gate_hash, gate_parts
from sia_tui.core.loop import auto_verdict
from sia_tui.core.proposals import Lever, Light, Proposal
from sia_tui.core.standing import says
from sia_tui.core.state import State, Step, undecided
from sia_tui.core.text import clean, one_line
from sia_tui.engine.calls import StoredCalls
from sia_tui.engine.planning import fits_light
from sia_tui.engine.record import StoredRecord
from sia_tui.engine.remembering import memory, record_of, tried_elsewhere
from sia_tui.engine.sampling import training_cases
from sia_tui.engine.session import Session, serving
from sia_tui.harness.repository import RepositoryError
from sia_tui.store.writer import now
from sia_tui.tasks.task import Task, text_of


async def propose(session: Session) -> None:
    """Let the Feedback-Agent read everything it may and say what to do next; where a person has, that comes first."""
    number, best = len(session.state.steps) + 1, session.state.best
    if session.state.wanted and best is not None:
        own = replace(session.state.wanted[0].proposal, base_commit=best.commit)
        session.record(ev.ProposalMade(own.id_at(session.state.run, number), own))
        return
    session.report.phase("the Feedback-Agent reads the trajectories")
    agent = make_feedback_agent(session.config.agents.feedback, StoredCalls(session, number))
    record = _record(session)
    proposal = await agent.propose(record)
    session.record(ev.ProposalMade(proposal.id_at(session.state.run, number), proposal, advise(record)))


async def review(session: Session, step: Step) -> None:
    """Let a second model say what speaks against the proposal, for whoever is asked about it next."""
    role, number = session.config.agents.critic, session.state.steps.index(step) + 1
    assert role is not None
    session.report.phase("the critic reads the proposal")
    critic = make_critic(role, StoredCalls(session, 0 if step.proposal.first else number))
    session.record(ev.ProposalReviewed(step.id, await critic.review(_record(session), step)))


def _record(session: Session) -> StoredRecord:
    best = session.state.best
    files = session.repository.files(best.commit, session.package) if best else {}
    trials = session.config.agents.trials
    return StoredRecord(session, brief_of(session), session.state, files, memory(session), trials)


def brief_of(session: Session) -> Brief:
    return brief_for(session.task, session.config, session.state)


def brief_for(task: Task, config: RunConfig, state: State) -> Brief:
    """The task, and what agents may do about it; the same when a proposal that was cut off is begun again."""
    left_min = (config.budget.wall_s - state.settled_s) / 60
    left_steps = config.budget.steps - len(state.made)
    left = {"steps": f"{left_steps} of {config.budget.steps}"}
    left["wall clock"] = f"{left_min:.0f} min"
    if state.closed_levers:
        left["levers a person closed on this generation"] = ", ".join(sorted(state.closed_levers))
    left["train cases to try a harness on before you answer"] = str(config.agents.trials)
    return Brief(
        task.name,
        task.description,
        task.labels,
        task.glosses,
        tuple(lever for lever in config.agents.levers if lever not in state.closed_levers),
        config.agents.algorithms,
        config.weights.plans(config.seed),
        config.harness.surface,
        left,
        left_min,
        config.agents.trials,
        left_steps,
        task.scores,
        config.harness.agent.command if config.harness.agent else (),
    )


def check(session: Session, step: Step) -> None:
    """Build the proposal's commit, whatever becomes of it, and light the lights."""
    proposal = step.proposal
    if proposal.lever == "stop":
        session.record(ev.ProposalChecked(step.id, (), None, None))
        return
    repository, best = session.repository, session.state.best
    # A plan changes no file: its commit is the incumbent's harness again, with the plan in its message.
    tree = f"{proposal.base_commit}^{{tree}}"
    lights: tuple[Light, ...] = ()
    if proposal.patches:
        tree, lights = _patched(session, step)
    applies = not lights or lights[0].level == "ok"
    lights += check_dropped(proposal.patch or "", session.state.steps[:-1])
    lights += _plan_lights(session, step) if proposal.trains else ()
    lights += check_tried(proposal, tried_elsewhere(session)) if applies else ()
    subtree = repository.subtree(tree, session.package)
    commit = _commit(session, step, tree, subtree, best.adapter if best else None, applies)
    repository.mark(f"refs/sia/proposals/{step.id}", commit)
    lights += check_flagged(proposal) + check_marked(proposal, session.canary)
    lights += tuple(risk.light for risk in session.state.risks)
    session.record(ev.ProposalChecked(step.id, lights, commit, subtree, record_of(session, proposal)))


def fault(session: Session, proposal: Proposal) -> str | None:
    """The red light that a proposal would get for what it changes, in words."""
    lit = _patched(session, Step("", proposal))[1] if proposal.patches else ()
    lit += _plan_lights(session, Step("", proposal)) if proposal.trains else ()
    return next((f"{light.name}: {light.detail}" for light in lit if light.level == "red"), None)


def _patched(session: Session, step: Step) -> tuple[str, tuple[Light, ...]]:
    """The tree that the patch makes, and its lights; the base's tree, and one red light, where it does not apply."""
    repository, package, proposal = session.repository, session.package, step.proposal
    old = repository.files(proposal.base_commit, package)
    try:
        tree = repository.patched_tree(
            proposal.base_commit, package, proposal.patch or "", session.config.harness.surface
        )
        texts = (text_of(case.inputs) for case in session.task.cases.values())
        new = repository.files(tree, package)
        agent = session.config.harness.agent
        command = agent.command if agent else None
        return tree, check_patch(proposal, old, new, texts, session.task.labels, session.state.steps[:-1], command)
    except (RepositoryError, UnicodeError, RecursionError, MemoryError) as fault:
        reason = one_line(str(fault) or type(fault).__name__)
        return f"{proposal.base_commit}^{{tree}}", (Light("applies", "red", reason),)


def _plan_lights(session: Session, step: Step) -> tuple[Light, ...]:
    plan, state = step.proposal.plan, session.state
    cases, held_out = training_cases(session, plan) if plan else ([], [])
    served = serving(session.config)
    fits = fits_light(session.config, plan, state, session.reader) if plan else None
    return (
        *check_plan(step.proposal, len(cases), len(held_out), state.steps[:-1], fits),
        check_served(plan, served["backend"], served["vllm"].adapters, served["vllm"].rank),
    )


def _commit(
    session: Session,
    step: Step,
    tree: str,
    subtree: str,
    adapter: str | None,
    applied: bool = True,
    lever: Lever | None = None,
) -> str:
    """`lever`: which of the proposal's it holds, where not all."""
    proposal = step.proposal
    message = clean(f"{proposal.title}\n\n{proposal.reason}")
    if not applied and proposal.patch:
        message += f"\n\nThe patch, which did not apply:\n\n{clean(proposal.patch)}"
    if proposal.plan is not None:
        message += "\n\n" + "\n".join(f"{name}: {value}" for name, value in asdict(proposal.plan).items())
    generation = session.generation(subtree, adapter)
    trailers = {"Run": session.state.run, "Lever": lever or proposal.lever, "Proposal": step.id}
    return session.repository.commit_generation(tree, generation, proposal.base_commit, message, trailers, step.made_at)


def open_gate(session: Session, step: Step, kind: GateKind) -> None:
    """Ask, with a hash over all that the answer will be about."""
    state, best = session.state, session.state.best
    result = [asdict(found) for found in step.measures] or None
    rule = {"indecisive": session.config.gate.indecisive}
    lights = step.lights or ()
    parts = gate_parts(
        kind,
        step.proposal,
        best.key if best else "",
        lights,
        step.preview,
        step.pilot.pilot if step.pilot else None,
        step.record,
        step.advice,
        result,
        rule,
        state.config_hash,
        [asdict(found) for found in step.evidence],
    )
    session.record(ev.GateOpened(Gate(f"gate-{len(state.gates) + 1}", kind, step.id, gate_hash(parts), parts)))


def answer_by_policy(session: Session, step: Step) -> None:
    """The automatic gate: the config said so beforehand, and the log says that nobody looked."""
    gate = step.open_gate
    assert gate is not None
    left_s = session.config.budget.wall_s - session.state.cost.wall_s
    kind, note = auto_verdict(step, left_s)
    session.record(ev.VerdictGiven(Verdict(gate.id, kind, "auto", note, now())))


def answer_by_contract(session: Session) -> bool:
    """A person's standing yes, or its end; False where the gate waits for a person."""
    said, standing, gate = says(session.state), session.state.contract, session.state.waiting
    if said is None or said.kind == "waits" or standing is None or gate is None:
        return False
    if said.kind == "over":
        session.record(ev.ContractEnded("the engine", one_line(said.why, 300)))
    else:
        session.record(ev.VerdictGiven(Verdict(gate.id, "approve", f"{BY}{standing.by}", said.why, now())))
    return True


def refuse(session: Session, step: Step, by: str, reason: str) -> None:
    session.record(ev.ProposalRefused(step.id, by, reason))
    if step.proposal.lever == "stop" and not session.state.wanted:
        session.record(ev.RunPaused("the engine", "the Feedback-Agent has nothing else to propose"))


def apply(session: Session, step: Step) -> None:
    """The proposal becomes what may be measured: a patch by its own commit, an adapter by one that names it. Of both, each
    lever alone as well, so that the gain can be told apart."""
    best = session.state.best
    assert best is not None and step.commit is not None and step.tree is not None
    made = [_candidate(session, step, "harness", step.tree, best.adapter)] if step.proposal.patches else []
    if step.trained is not None:
        made.append(_candidate(session, step, "weights", best.tree, step.trained.adapter))
        if step.proposal.patches:
            made.append(_candidate(session, step, "both", step.tree, step.trained.adapter))
    count = len(session.state.generations)
    session.record(*(replace(candidate, index=count + number) for number, candidate in enumerate(made)))


def _candidate(session: Session, step: Step, lever: Lever, tree: str, adapter: str | None) -> ev.GenerationCreated:
    """Its index is still to be given."""
    best = session.state.best
    assert best is not None and step.commit is not None
    commit = step.commit
    if lever != "harness":
        whole = f"{step.commit if lever == 'both' else best.commit}^{{tree}}"
        commit = _commit(session, step, whole, tree, adapter, lever=lever)
    return ev.GenerationCreated(0, lever, commit, tree, session.key(tree, adapter), adapter, best.index, step.id)


def decide(session: Session, index: int, keep: bool, why: str) -> None:
    """The candidates beside it are rolled back in the same breath."""
    state = session.state
    step = next(step for step in state.steps if index in step.candidates)
    others = [made.index for made in undecided(state, step) if made.index != index]
    better = f"g{index} has the better lower bound"
    rolled = [ev.GenerationRolledBack(other, better) for other in others]
    session.record(*rolled, ev.GenerationKept(index, why) if keep else ev.GenerationRolledBack(index, why))
