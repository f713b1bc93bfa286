"""What a run is now: a pure fold over its events. The engine decides by it and every client shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import singledispatch
from typing import Any, Literal

from sia_tui.core import events as ev
from sia_tui.core.choosing import Recommendation, light
from sia_tui.core.episodes import Split
from sia_tui.core.fitting import rehearsal_light
from sia_tui.core.forecast import TrackRecord
from sia_tui.core.gates import Gate, Verdict
from sia_tui.core.plans import TrainPlan
from sia_tui.core.proposals import Lever, Light, Preview, Proposal, Review
from sia_tui.core.pulls import Advice

MACHINE = "the machine"
"""By which a step is refused that failed for no fault of its own."""

Status = Literal["running", "paused", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Generation:
    index: int
    lever: Lever | None
    commit: str
    tree: str
    key: str
    adapter: str | None
    parent: int | None
    proposal: str | None
    kept: bool | None = None
    """None until measured and decided."""
    results: Mapping[Split, ev.Evaluated] = field(default_factory=dict)
    why: str = ""
    """For what reason it was kept or rolled back."""


@dataclass(frozen=True)
class Step:
    """One proposal and how far it has come."""

    id: str
    proposal: Proposal
    made_at: str = ""
    advice: Advice | None = None
    began_s: float = 0.0
    """Working time of the run, in seconds, when it was proposed; and when it was decided, None before."""
    ended_s: float | None = None
    lights: tuple[Light, ...] | None = None
    commit: str | None = None
    tree: str | None = None
    record: TrackRecord | None = None
    preview: Preview | None = None
    pilot: ev.PilotDone | None = None
    review: Review | None = None
    training: ev.TrainingBegan | None = None
    cut_short_by: str | None = None
    """Who asked its training to end early."""
    trained: ev.AdapterTrained | None = None
    spent_before: float = 0.0
    """Working time of the run, in seconds, when its training began."""
    gates: tuple[Gate, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    candidates: tuple[int, ...] = ()
    """The generations that it became: of `both` the new harness, the new weights, and the two together."""
    measures: tuple[ev.Measured, ...] = ()
    """Of each candidate against the incumbent."""
    refused: ev.ProposalRefused | None = None
    closed: bool = False

    @property
    def open_gate(self) -> Gate | None:
        """The gate that still waits for its verdict."""
        return self.gates[-1] if len(self.gates) > len(self.verdicts) and not self.closed else None

    @property
    def measured(self) -> ev.Measured | None:
        """Of the best candidate: the one with the highest lower bound."""
        return max(self.measures, key=lambda found: found.lo, default=None)

    @property
    def generation(self) -> int | None:
        """The candidate that stands for the step: the best once they are measured, until then the last."""
        if self.measured is not None:
            return self.measured.generation
        return self.candidates[-1] if self.candidates else None

    def measure_of(self, generation: int) -> ev.Measured | None:
        return next((found for found in self.measures if found.generation == generation), None)

    @property
    def refuted(self) -> bool:
        """Refused, or measured and not better: its idea did not stand. The machine's failure says nothing of the idea."""
        refused = self.refused is not None and self.refused.by != MACHINE
        return refused or (self.measured is not None and self.measured.outcome != "better")

    def verdict_on(self, kind: str) -> Verdict | None:
        answered = zip(self.gates, self.verdicts, strict=False)
        return next((verdict for gate, verdict in answered if gate.kind == kind), None)


@dataclass(frozen=True)
class Cost:
    wall_s: float = 0.0
    """Time engines have worked on this run: not while it waited for a person, was paused, or had no engine."""
    tokens: int = 0
    """Prompt and sampled tokens of finished episodes."""
    episodes: int = 0
    calls: int = 0
    """Of language models that play agents; the next two are theirs too."""
    agent_tokens: int = 0
    money: float = 0.0
    """US dollars, where prices are known."""


@dataclass(frozen=True)
class State:
    run: str = ""
    created_at: str = ""
    task: str = ""
    status: Status = "running"
    stop_reason: str | None = None
    """Why it ended, failed or is paused, where there is more to say than by whom."""
    parent: str | None = None
    start_commit: str | None = None
    start_adapter: str | None = None
    config_hash: str = ""
    task_ready: ev.TaskReady | None = None
    policy_ready: ev.PolicyReady | None = None
    engine: ev.EngineStarted | None = None
    baselines_dev: Mapping[str, float] | None = None
    baselines_test: Mapping[str, float] | None = None
    generations: tuple[Generation, ...] = ()
    incumbent: int | None = None
    steps: tuple[Step, ...] = ()
    stop_asked: ev.StopAsked | None = None
    test_opened: ev.TestOpened | None = None
    test_opened_at: str | None = None
    cost: Cost = Cost()
    settled_s: float = 0.0
    """Working time when a generation was last measured or decided on: the same however often the next proposal is begun."""
    last_at: str | None = None

    @property
    def beginning(self) -> str:
        """What generation 0 is."""
        return f"branched from {self.parent}" if self.parent else "the first harness"

    @property
    def made(self) -> tuple[Step, ...]:
        """The steps that count: all but the Meta-Agent's, which makes generation 0."""
        return tuple(step for step in self.steps if not step.proposal.first)

    @property
    def first(self) -> Step | None:
        """The Meta-Agent's."""
        return next((step for step in self.steps if step.proposal.first), None)

    @property
    def current(self) -> Step | None:
        """The step under way."""
        return self.steps[-1] if self.steps and not self.steps[-1].closed else None

    @property
    def training(self) -> Step | None:
        """The weights step whose training is under way."""
        step = self.current
        return step if step and step.training is not None and step.trained is None else None

    @property
    def best(self) -> Generation | None:
        return None if self.incumbent is None else self.generations[self.incumbent]

    def step(self, proposal: str) -> Step:
        return next(step for step in self.steps if step.id == proposal)

    @property
    def last_plan(self) -> TrainPlan | None:
        """The plan of the last weights step before the one under way that was carried out."""
        done = [step.proposal.plan for step in self.steps if step.trained is not None and step is not self.current]
        return done[-1] if done else None

    @property
    def piloted(self) -> ev.PilotDone | None:
        """The last pilot on the incumbent as it is, without a patch."""
        commit = self.best.commit if self.best else None
        on_it = (step for step in reversed(self.steps) if step.proposal.base_commit == commit)
        return next((step.pilot for step in on_it if step.pilot and not step.proposal.patches), None)

    @property
    def advised(self) -> Recommendation | None:
        """What the last pilot on the incumbent recommends to train by; None before there was one."""
        return self.piloted.advised if self.piloted else None

    @property
    def gates(self) -> tuple[Gate, ...]:
        return tuple(gate for step in self.steps for gate in step.gates)

    @property
    def waiting(self) -> Gate | None:
        return self.current.open_gate if self.current else None


def undecided(state: State, step: Step) -> tuple[Generation, ...]:
    """Its candidates that were neither kept nor rolled back."""
    found = (state.generations[index] for index in step.candidates)
    return tuple(generation for generation in found if generation.kept is None)


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
        case ev.ProposalMade(id=proposal):
            return _step(state, proposal, made_at=entry.at)
        case ev.TestOpened():
            return replace(state, test_opened_at=entry.at)
        case ev.Evaluated() | ev.GenerationKept() | ev.GenerationRolledBack() | ev.ProposalRefused():
            return replace(state, settled_s=state.cost.wall_s)
    return state


def _clock(state: State, entry: ev.Recorded) -> State:
    idle = state.waiting is not None or state.status == "paused"
    if state.last_at is None or idle or isinstance(entry.event, ev.EngineStarted):
        return state
    passed = (datetime.fromisoformat(entry.at) - datetime.fromisoformat(state.last_at)).total_seconds()
    return replace(state, cost=replace(state.cost, wall_s=state.cost.wall_s + max(0.0, passed)))


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
    return replace(state, engine=event)


@_on.register
def _(event: ev.GateDeferred, state: State) -> State:
    return state


@_on.register
def _(event: ev.TaskReady, state: State) -> State:
    return replace(state, task_ready=event)


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
    return replace(state, steps=(*state.steps, step))


@_on.register
def _(event: ev.ProposalChecked, state: State) -> State:
    return _step(state, event.id, lights=event.lights, commit=event.commit, tree=event.tree, record=event.record)


@_on.register
def _(event: ev.PreviewDone, state: State) -> State:
    return _step(state, event.id, preview=event.preview)


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
    return _step(state, step.id, verdicts=(*step.verdicts, event.verdict))


@_on.register
def _(event: ev.ProposalRefused, state: State) -> State:
    return _step(state, event.id, refused=event, closed=True, ended_s=state.cost.wall_s)


@_on.register
def _(event: ev.Measured, state: State) -> State:
    return _step(state, event.id, measures=(*state.step(event.id).measures, event))


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


def _ending(status: str) -> Status:
    return "done" if status == "done" else "stopped" if status == "stopped" else "failed"


def blind(state: State) -> State:
    """The state as agents may see it: no result on hidden or test anywhere."""
    seen = tuple(
        replace(gen, results={split: found for split, found in gen.results.items() if split in ("train", "dev")})
        for gen in state.generations
    )
    return replace(state, generations=seen, baselines_test=None, test_opened=None)


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
