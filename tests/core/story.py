"""A generator of runs: whatever the outside world answers, the loop's own actions make the events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sia_tui.core import events as ev
from sia_tui.core import loop
from sia_tui.core.contract import BY, Contract
from sia_tui.core.evidence import Attribution, Cell, Through
from sia_tui.core.fitness import Finding
from sia_tui.core.fold import advance
from sia_tui.core.gates import Gate, Verdict
from sia_tui.core.meantime import Attribute, Gather, Trace
from sia_tui.core.plans import Pilot
from sia_tui.core.proposals import Dropped, Light, Preview, Proposal, Review
from sia_tui.core.standing import says
from sia_tui.core.state import State, Step, undecided

RULES = loop.Rules(
    max_steps=4,
    max_wall_s=1e9,
    max_tokens=10**9,
    max_money=1e9,
    meta_writes=False,
    max_refusals=3,
    indecisive="ask",
    critic=True,
    attribute=True,
    trace=4,
)
PATCH = """--- a/harness.py
+++ b/harness.py
@@ -1 +1 @@
-a
+b
@@ -9 +9 @@
-c
+d
"""
START = datetime(2026, 1, 1, tzinfo=UTC)

Choose = Callable[[list[object]], object]
"""Picks one of the things the world might answer."""


def proposal(idea: str, lever: str = "harness") -> Proposal:
    return Proposal(lever, f"try {idea}", "because", idea, "c0", patch=PATCH, predicted_gain=0.1)  # type: ignore[arg-type]


def answer(action: loop.Action, state: State, choose: Choose) -> list[ev.Event]:
    """The events of performing one action, in a world that `choose` decides."""
    step = state.current
    match action:
        case loop.PrepareTask():
            return [ev.TaskReady("split", "test", "verifier", {"train": 10})]
        case loop.CheckEvaluator():
            level = choose(["ok", "amber", "fails"])
            return [ev.EvaluatorChecked((Finding("gold", level, "a right answer", "", {"mean": 0.5}),), True)]  # type: ignore[arg-type]
        case loop.RefuseEvaluator():
            return [ev.RiskAccepted("gold", "it is known", "me")]
        case loop.MeasureBaselines():
            return [ev.BaselinesMeasured({"majority": 0.01})]
        case loop.PreparePolicy():
            return [ev.PolicyReady("nano", "sha", "serving")]
        case loop.PlantSeed():
            return [ev.GenerationCreated(0, None, "c0", "t0", "k0"), *choose([[], LOST, LATE, LOST + LATE])]  # type: ignore[misc, list-item]
        case loop.Evaluate(generation=index, split=split):
            if state.generations[index].kept is None and step is not None:
                return _tried(choose, step.id, index)
            done = ev.EpisodeDone(f"e{index}{split}", "k", split, 7)
            return [done, ev.Evaluated(index, split, 0.5, 0.4, 0.6, 10, 0.0, {"wrong": 5})]
        case loop.Propose():
            lever = choose(["harness", "harness", "weights", "weights", "both", "stop"])
            made = proposal(f"idea-{len(state.steps)}", str(lever))
            return [ev.ProposalMade(f"p-{len(state.steps) + 1}", made)]
        case loop.Check(proposal=name):
            level = choose(["ok", "ok", "red"])
            commit = f"c{len(state.steps)}"
            return [ev.ProposalChecked(name, (Light("parses", level, "x"),), commit, f"t{len(state.steps)}")]  # type: ignore[arg-type]
        case loop.RunPreview(proposal=name):
            return [ev.PreviewDone(name, Preview(5, 0.4, 0.6, 0.2, -0.1, 0.5, ("a",), (), 10.0, 11.0))]
        case loop.RunPilot(proposal=name):
            return [ev.PilotDone(name, Pilot(4, 2, (1, 2, 1), 0.5, 0.1, 90.0, ("e1",)), 60.0)]
        case loop.AskCritic(proposal=name):
            doubt = choose(["none", "some", "serious", "unheard"])
            return [ev.ProposalReviewed(name, Review("m", doubt, "says why", ("e1",), ("e1: obey me",)))]  # type: ignore[arg-type]
        case loop.Train(proposal=name):
            return _trained(choose, name)
        case loop.OpenGate(proposal=name, kind=kind):
            number = len(state.gates) + 1
            return [ev.GateOpened(Gate(f"gate-{number}", kind, name, f"hash{number:08d}", {"kind": kind}))]
        case loop.AwaitVerdict(gate=gate):
            assert step is not None
            if len(step.withdrawn) < 2 and choose(["enough", "enough", "more"]) == "more":
                return [ev.EvidenceWanted(gate, "me")]
            return _answered(choose, state, step, gate)
        case Gather() | Attribute() | Trace():
            return [_learned(action, state, choose)]
        case loop.Refuse(proposal=name, by=by, reason=reason):
            return [ev.ProposalRefused(name, by, reason)]
        case loop.Apply(proposal=name):
            assert step is not None
            count, lever = len(state.generations), step.proposal.lever
            levers = ("harness", "weights", "both") if lever == "both" else (lever,)
            return [
                ev.GenerationCreated(at, made, f"c{at}", f"t{at}", f"k{at}", None, state.incumbent, name)
                for at, made in enumerate(levers, count)
            ]
        case loop.Compare(proposal=name):
            assert step is not None
            left = [made for made in undecided(state, step) if step.measure_of(made.index) is None]
            return [_measured(name, made.index, str(choose(OUTCOMES)), bool(choose(HELD))) for made in left]
        case loop.Decide(generation=index, keep=keep, why=why):
            assert step is not None
            rest = [made.index for made in undecided(state, step) if made.index != index]
            rolled: list[ev.Event] = [ev.GenerationRolledBack(other, "another is better") for other in rest]
            return [*rolled, ev.GenerationKept(index, why) if keep else ev.GenerationRolledBack(index, why)]
        case loop.Finish(reason=reason, by=by):
            return [ev.StopAsked(reason, by, open_test=True)]
        case loop.OpenTest(generation=index):
            return [ev.TestOpened(index, "test", 0)]
        case loop.TestBaselines():
            return [ev.BaselinesTested({"majority": 0.01})]
        case loop.End(status=status, reason=reason):
            return [ev.RunEnded(status, reason)]
    raise AssertionError(action)


def _answered(choose: Choose, state: State, step: Step, gate: str) -> list[ev.Event]:
    said = str(choose(["approve", "approve", "reject", "reject", "amend"]))
    if said == "amend" and _may_amend(state, step):
        name, gone = f"p-{len(state.steps) + 1}", Dropped("x.py:1 +1 -0", "d", "@@ -0,0 +1 @@\n+x\n")
        return [
            ev.ProposalAmended(step.id, name, gate, "me", (gone,), True),
            ev.ProposalMade(name, replace(step.proposal, patch=f"{step.proposal.patch}\n", predicted_gain=None)),
        ]
    return [ev.VerdictGiven(Verdict(gate, "reject" if said == "reject" else "approve", "me", "", "now"))]


def _may_amend(state: State, step: Step) -> bool:
    """Once, before it is carried out."""
    return not step.candidates and state.amends(step) is None and step.proposal.patch is not None


def _learned(action: Gather | Attribute | Trace, state: State, choose: Choose) -> ev.Event:
    match action:
        case Gather(proposal=name):
            return _gathered(state.step(name), choose)
        case Attribute(pair=pair):
            cell = Cell(0.1, 0.0, 0.2)
            return ev.Attributed(pair.old, pair.between, pair.new, Attribution(0.5, cell, cell, cell, cell))
        case Trace(proposal=name):
            made = state.step(name).generation
            assert made is not None
            return ev.Traced(name, made, ("x:1 +1 -1", "x:9 +1 -1"), (Through("a", (1,)),), (), (0,))


def _gathered(step: Step, choose: Choose) -> ev.Event:
    """A longer preview before the yes, another seed after it; or nothing comes of it."""
    name, cell = step.id, Cell(0.01, -0.02, 0.04)
    if choose([True, True, False]) is False:
        return ev.EvidenceMissed(name, "the harness does not begin")
    if step.measured is None:
        return ev.PreviewDone(name, Preview(10, 0.4, 0.6, 0.2, 0.0, 0.4, ("a",), (), 10.0, 11.0))
    made, count = step.measured.generation, len(step.evidence) + 2
    return ev.EvidenceFound(name, made, made - 1, count - 1, cell, count, cell, "indecisive", 10, 1, 1, 2)


LOST = [ev.EpisodesReissued("far", 3, "lost"), ev.NodeLost("far", "its machine does not answer")]
LATE = [ev.EpisodesReissued("near", 1, "late")]
OUTCOMES = ["better", "worse", "indecisive"]
HELD = [False, False, True]


def _trained(choose: Choose, name: str) -> list[ev.Event]:
    lost = ev.TrainerLost(name, "a process of it was killed", "goes on from step 5")
    trained = ev.AdapterTrained(name, "sha", 10, 5, "all steps made", 0.1, 0.3, 100, 9.0, 14, 14, 1e-5)
    failed = ev.ProposalRefused(name, "training", "the weights did not move")
    return [ev.TrainingBegan(name, None), *choose([[], [lost]]), choose([trained, trained, failed])]  # type: ignore[misc, list-item]


def _tried(choose: Choose, name: str, index: int) -> list[ev.Event]:
    """A candidate on dev: it does not begin, is clearly worse on a slice, opens the planted key, or is measured whole."""
    match choose(["whole", "whole", "whole", "broken", "slice", "key"]):
        case "broken":
            return [ev.GenerationRolledBack(index, "the harness does not begin")]
        case "slice":
            return [replace(_measured(name, index, "worse", False), spared=90)]
        case "key":
            return [ev.Alarmed("canary", f"k{index}", "opened", name)]
    done = ev.EpisodeDone(f"e{index}dev", "k", "dev", 7)
    return [done, ev.Evaluated(index, "dev", 0.5, 0.4, 0.6, 10, 0.0, {"wrong": 5})]


def _measured(name: str, index: int, outcome: str, held: bool) -> ev.Measured:
    lo, hi = {"better": (0.05, 0.15), "worse": (-0.15, -0.05), "indecisive": (-0.1, 0.1)}[outcome]
    held_for = "too good" if held and outcome != "worse" else ""
    return ev.Measured(name, index, outcome, (lo + hi) / 2, lo, hi, 10, ("a",), (), held=held_for)


def tell_story(
    choose: Choose, most: int = 400, rules: loop.Rules = RULES, contract: Contract | None = None
) -> list[ev.Recorded]:
    """The log of a whole run; with a `contract` it answers what it may."""
    log: list[ev.Recorded] = []
    state = State()

    def record(event: ev.Event) -> None:
        nonlocal state
        entry = ev.Recorded(len(log) + 1, (START + timedelta(seconds=len(log))).isoformat(), event)
        log.append(entry)
        state = advance(state, entry)

    record(ev.RunCreated("r", "lawbench", "config"))
    record(ev.EngineStarted(1, "here", "bwrap", 2))
    record(ev.NodeJoined("near", 2, 0, "bwrap"))
    record(ev.NodeJoined("far", 4, 1, "landlock"))
    record(ev.NodeRefused("weak", "no sandbox for harness code"))
    record(ev.ReplicasServe(("GPU 0", "node far")))
    record(ev.ReplicaOut(1, "node far", "vllm hangs", 3, 1))
    record(ev.ReplicaBack(1, "node far", 2))
    if contract is not None:
        record(ev.ContractMade(contract, "ana"))
    while not isinstance(action := loop.next_action(state, rules), loop.Ended):
        assert len(log) < most, "the loop does not come to an end"
        said = says(state)
        if said is not None and said.kind == "over":
            record(ev.ContractEnded("the engine", said.why))
        if said is not None and said.kind == "yes" and state.waiting:
            record(ev.VerdictGiven(Verdict(state.waiting.id, "approve", f"{BY}ana", said.why, "now")))
            continue
        for event in answer(action, state, choose):
            record(event)
    return log
