"""What a run is now: a pure fold over its events. The engine decides by it and every client shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from sia_tui.core import events as ev
from sia_tui.core.choosing import Recommendation
from sia_tui.core.contract import Standing
from sia_tui.core.episodes import Split
from sia_tui.core.fitness import Finding, Risk, refused
from sia_tui.core.forecast import TrackRecord
from sia_tui.core.gates import Gate, Verdict
from sia_tui.core.nodes import Nodes, gpus
from sia_tui.core.plans import TrainPlan
from sia_tui.core.proposals import Lever, Light, Preview, Proposal, Review
from sia_tui.core.pulls import Advice
from sia_tui.core.replicas import Replicas
from sia_tui.core.spent import Cost

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
    ended_at: str = ""
    """When a person put another one in its place."""
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
    asked_at: str = ""
    """When the last of them was put."""
    verdicts: tuple[Verdict, ...] = ()
    candidates: tuple[int, ...] = ()
    """The generations that it became: of `both` the new harness, the new weights, and the two together."""
    measures: tuple[ev.Measured, ...] = ()
    """Of each candidate against the incumbent."""
    refused: ev.ProposalRefused | None = None
    amended: ev.ProposalAmended | None = None
    """A person put another one in its place."""
    closed: bool = False
    withdrawn: tuple[Gate, ...] = ()
    """Gates that somebody wanted more evidence for; each is put again, under the same id."""
    wanted: ev.EvidenceWanted | None = None
    """That is not there yet."""
    evidence: tuple[ev.EvidenceFound, ...] = ()
    """Of its best candidate, under one more sampling seed each."""
    matched: ev.Matched | None = None
    traced: ev.Traced | None = None

    @property
    def open_gate(self) -> Gate | None:
        """The gate that still waits for its verdict."""
        return self.gates[-1] if len(self.gates) > len(self.verdicts) and not self.closed else None

    @property
    def red(self) -> Light | None:
        return next((light for light in self.lights or () if light.level == "red"), None)

    @property
    def held(self) -> str:
        """Why only a person may answer its open gate; nothing where the config's policy may."""
        gate, found = self.open_gate, self.measured
        return found.held if gate is not None and gate.kind == "keep" and found is not None else ""

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

    @property
    def can_wait(self) -> bool:
        """For what a person proposes: it is the end of the run, and nobody has agreed to it."""
        return self.proposal.lever == "stop" and self.verdict_on("step") is None


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
    findings: tuple[Finding, ...] | None = None
    """Of the evaluator; None before it was asked, and in runs of earlier versions."""
    risks: tuple[Risk, ...] = ()
    """Rows of it that a person goes on with."""
    policy_ready: ev.PolicyReady | None = None
    engine: ev.EngineStarted | None = None
    gpus_since: str = ""
    """When an engine or a node of it last came or went."""
    nodes: Nodes = ()
    """Machines of a cluster; none where the run works on one."""
    replicas: Replicas = ()
    """Servers that answer as the policy; none where there is one."""
    baselines_dev: Mapping[str, float] | None = None
    baselines_test: Mapping[str, float] | None = None
    generations: tuple[Generation, ...] = ()
    incumbent: int | None = None
    steps: tuple[Step, ...] = ()
    wanted: tuple[ev.ProposalWanted, ...] = ()
    """Proposals of people whose turn has not come yet."""
    stop_asked: ev.StopAsked | None = None
    test_opened: ev.TestOpened | None = None
    test_opened_at: str | None = None
    contract: Standing | None = None
    """A person's standing yes."""
    contract_ended: str = ""
    """Why the last one ended."""
    alarms: tuple[ev.Alarmed, ...] = ()
    again: tuple[ev.MeasuredAgain, ...] = ()
    tables: tuple[ev.Attributed, ...] = ()
    cost: Cost = field(default_factory=Cost)
    settled_s: float = 0.0
    """Working time when a generation was last measured or decided on: the same however often the next proposal is begun."""
    last_at: str | None = None

    @property
    def unfit(self) -> tuple[Finding, ...]:
        """The evaluator's failing rows that nobody has accepted."""
        return refused(self.findings or (), self.risks)

    @property
    def over(self) -> bool:
        """Nothing more will happen to it; from then on a person may see hidden and test."""
        return self.status in ("done", "stopped")

    @property
    def idle(self) -> bool:
        """It waits for a person, or does not go on: time that passes is not its work."""
        return self.waiting is not None or self.status != "running"

    @property
    def gpus(self) -> int:
        """That the run has now."""
        return gpus(self.nodes, self.engine.gpus if self.engine else 0)

    @property
    def beginning(self) -> str:
        """What generation 0 is."""
        return f"branched from {self.parent}" if self.parent else "the first harness"

    @property
    def made(self) -> tuple[Step, ...]:
        """The steps that count: all but the Meta-Agent's, which makes generation 0, and those that became another one."""
        return tuple(step for step in self.steps if not step.proposal.first and step.amended is None)

    def amends(self, step: Step) -> Step | None:
        """The one that a person made it of, if any did."""
        return next((was for was in self.steps if was.amended is not None and was.amended.into == step.id), None)

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

    @property
    def repeats(self) -> tuple[ev.MeasuredAgain, ...]:
        """The incumbent on dev again: what its score owes to the sampling seed."""
        best = self.incumbent
        return tuple(one for one in self.again if one.harness == one.weights == best and one.split == "dev")

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
    def closed_levers(self) -> frozenset[Lever]:
        """Those that a person wants none of on the incumbent."""
        commit = self.best.commit if self.best else None
        on_it = (step for step in self.steps if step.proposal.base_commit == commit)
        return frozenset(step.proposal.lever for step in on_it if any(said.other_lever for said in step.verdicts))

    @property
    def gates(self) -> tuple[Gate, ...]:
        return tuple(gate for step in self.steps for gate in step.gates)

    @property
    def earlier(self) -> tuple[Gate, ...]:
        """Every gate as it was once put, but the one that waits."""
        once = (gate for step in self.steps for gate in (*step.gates, *step.withdrawn))
        return tuple(gate for gate in once if gate is not self.waiting)

    @property
    def waiting(self) -> Gate | None:
        return self.current.open_gate if self.current else None


def undecided(state: State, step: Step) -> tuple[Generation, ...]:
    """Its candidates that were neither kept nor rolled back."""
    found = (state.generations[index] for index in step.candidates)
    return tuple(generation for generation in found if generation.kept is None)


def blind(state: State) -> State:
    """The state as agents may see it: no result on hidden or test anywhere."""
    seen = tuple(
        replace(gen, results={split: found for split, found in gen.results.items() if split in ("train", "dev")})
        for gen in state.generations
    )
    again = tuple(one for one in state.again if one.split in ("train", "dev"))
    return replace(state, generations=seen, again=again, baselines_test=None, test_opened=None)
