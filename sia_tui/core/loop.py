"""What to do next: a pure function of the run's state. The engine performs it and asks again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sia_tui.core.episodes import Split
from sia_tui.core.gates import GateKind, VerdictKind
from sia_tui.core.meantime import Attribute, Gather, Trace, afterwards
from sia_tui.core.state import MACHINE, State, Step, undecided

_OWN_NO = ("checks", "preview", "training", MACHINE, "auto")
"""By which a proposal is refused that no person said no to."""


@dataclass(frozen=True)
class Rules:
    """The part of a run's config that decides what comes next."""

    max_steps: int
    max_wall_s: float
    max_tokens: int
    max_money: float
    """US dollars of agents' models."""
    meta_writes: bool
    """Whether a model writes the first harness, which then passes a gate."""
    max_refusals: int
    """This many proposals in a row that checks or previews refuse end the run; a person's no is not counted."""
    indecisive: Literal["ask", "keep", "roll_back"]
    critic: bool
    """Whether a second model is asked about every proposal before its gate."""
    target: float | None = None
    """Mean reward on dev at which the run has what it is for."""
    stall: int | None = None
    """This many steps in a row without one that was kept end the run."""
    attribute: bool = False
    """Whether the cell that a kept pair of steps leaves unmeasured is measured."""
    max_gpu_hours: float = 1e9
    trace: int = 0
    """At most so many cases that a patch of several hunks changed are answered again without each of them."""


@dataclass(frozen=True)
class PrepareTask: ...


@dataclass(frozen=True)
class CheckEvaluator: ...


@dataclass(frozen=True)
class RefuseEvaluator:
    """A row of it fails, and nobody has accepted the risk: the run goes no further."""


@dataclass(frozen=True)
class MeasureBaselines: ...


@dataclass(frozen=True)
class PreparePolicy: ...


@dataclass(frozen=True)
class WriteFirst:
    """Have the Meta-Agent write the first harness."""


@dataclass(frozen=True)
class PlantSeed: ...


@dataclass(frozen=True)
class Evaluate:
    generation: int
    split: Split


@dataclass(frozen=True)
class Propose: ...


@dataclass(frozen=True)
class Check:
    proposal: str


@dataclass(frozen=True)
class RunPreview:
    proposal: str


@dataclass(frozen=True)
class RunPilot:
    proposal: str


@dataclass(frozen=True)
class AskCritic:
    proposal: str


@dataclass(frozen=True)
class Train:
    proposal: str


@dataclass(frozen=True)
class OpenGate:
    proposal: str
    kind: GateKind


@dataclass(frozen=True)
class AwaitVerdict:
    gate: str


@dataclass(frozen=True)
class Refuse:
    proposal: str
    by: str
    reason: str


@dataclass(frozen=True)
class Apply:
    proposal: str


@dataclass(frozen=True)
class Compare:
    proposal: str


@dataclass(frozen=True)
class Decide:
    """Keep or roll back a step's best candidate; its others are rolled back."""

    generation: int
    keep: bool
    why: str


@dataclass(frozen=True)
class Finish:
    """Stop proposing and bring the run to its end."""

    reason: str
    by: str


@dataclass(frozen=True)
class OpenTest:
    generation: int


@dataclass(frozen=True)
class TestBaselines: ...


@dataclass(frozen=True)
class End:
    status: Literal["done", "stopped"]
    reason: str


@dataclass(frozen=True)
class Ended: ...


Action = (
    PrepareTask
    | CheckEvaluator
    | RefuseEvaluator
    | MeasureBaselines
    | PreparePolicy
    | WriteFirst
    | PlantSeed
    | Evaluate
    | Gather
    | Attribute
    | Trace
    | Propose
    | Check
    | RunPreview
    | RunPilot
    | AskCritic
    | Train
    | OpenGate
    | AwaitVerdict
    | Refuse
    | Apply
    | Compare
    | Decide
    | Finish
    | OpenTest
    | TestBaselines
    | End
    | Ended
)


def next_action(state: State, rules: Rules) -> Action:
    if state.status in ("done", "stopped", "failed"):
        return Ended()
    if state.stop_asked is not None:
        return _closing(state)
    if state.task_ready is None:
        return PrepareTask()
    # A run of an earlier version is past this.
    if state.findings is None and state.baselines_dev is None:
        return CheckEvaluator()
    if state.unfit:
        return RefuseEvaluator()
    if state.baselines_dev is None:
        return MeasureBaselines()
    if state.policy_ready is None:
        return PreparePolicy()
    best = state.best
    if best is None:
        return _beginning(state, rules)
    if state.current is not None:
        return _stepping(state, state.current, rules)
    for split in ("dev", "train", "hidden"):
        if split not in best.results:
            return Evaluate(best.index, split)
    no_more = used_up(state, rules)
    if no_more is None and (more := afterwards(state, rules.attribute, rules.trace)):
        return more
    if state.wanted:
        # A person wants one more step than the config; time, tokens and money they cannot want back.
        lost = f"{no_more}; {len(state.wanted)} proposed by a person not tried"
        return Finish(lost, "budget") if no_more else Propose()
    spent = _reached(state, rules) or _stalled(state, rules) or _spent(state, rules) or no_more
    return Finish(spent, "budget") if spent else Propose()


def _beginning(state: State, rules: Rules) -> Action:
    """Generation 0: the house's, or a model's after a person's yes."""
    if state.current is not None:
        return _asking(state.current, rules) or PlantSeed()
    writes = rules.meta_writes and state.first is None and state.start_commit is None
    return WriteFirst() if writes else PlantSeed()


def _closing(state: State) -> Action:
    asked, best = state.stop_asked, state.best
    assert asked is not None
    if state.test_opened is None and (not asked.open_test or best is None or "dev" not in best.results):
        return End(asked.status, asked.reason)
    if state.test_opened is None:
        assert best is not None
        return OpenTest(best.index)
    tested = state.generations[state.test_opened.generation]
    if "test" not in tested.results:
        return Evaluate(tested.index, "test")
    if state.baselines_test is None:
        return TestBaselines()
    return End("done", asked.reason)


def _reached(state: State, rules: Rules) -> str | None:
    dev = state.best.results["dev"].mean if state.best else 0.0
    return f"target {rules.target:g} reached on dev" if rules.target is not None and dev >= rules.target else None


def _stalled(state: State, rules: Rules) -> str | None:
    in_vain = 0
    for step in reversed(state.made):
        if any(state.generations[index].kept for index in step.candidates):
            break
        in_vain += step.refused is None or step.refused.by in _OWN_NO
    stalled = rules.stall is not None and in_vain >= rules.stall
    return f"{in_vain} steps in a row gained nothing" if stalled else None


def _spent(state: State, rules: Rules) -> str | None:
    """All steps made, or too many of them refused, in words."""
    refused = 0
    for step in reversed(state.made):
        if step.refused is None:
            break
        refused += step.refused.by in _OWN_NO
    if len(state.made) >= rules.max_steps:
        return f"all {rules.max_steps} steps made"
    if refused >= rules.max_refusals:
        return f"{refused} proposals refused in a row"
    return None


def used_up(state: State, rules: Rules) -> str | None:
    """The budget that is used up, in words: nothing more is measured that need not be."""
    if state.cost.wall_s >= rules.max_wall_s:
        return f"wall clock budget of {rules.max_wall_s:.0f} s spent"
    if state.cost.gpu_s >= rules.max_gpu_hours * 3600:
        return f"budget of {rules.max_gpu_hours:g} GPU-hours spent"
    if state.cost.money >= rules.max_money:
        return f"agents' budget of {rules.max_money:g} $ spent"
    if state.cost.tokens >= rules.max_tokens:
        return f"token budget of {rules.max_tokens} spent"
    return None


def _asking(step: Step, rules: Rules) -> Action | None:
    """What is left to do until a person has said yes to a step; None when they have."""
    if step.lights is None:
        return Check(step.id)
    if step.red is not None and not step.candidates:
        return Refuse(step.id, "checks", f"{step.red.name}: {step.red.detail}")
    if step.proposal.patches and step.preview is None and not step.proposal.first:
        return RunPreview(step.id)
    if step.proposal.trains and step.pilot is None:
        return RunPilot(step.id)
    if step.wanted is not None and not step.candidates:
        return Gather(step.id)
    if rules.critic and step.review is None and not step.gates and not step.withdrawn:
        return AskCritic(step.id)
    if step.open_gate is not None:
        return AwaitVerdict(step.open_gate.id)
    verdict = step.verdict_on("step")
    if verdict is None:
        return OpenGate(step.id, "step")
    return Refuse(step.id, verdict.by, verdict.note) if verdict.kind == "reject" else None


def _stepping(state: State, step: Step, rules: Rules) -> Action:
    if state.wanted and step.can_wait:
        # Whoever wants more tried does not want to be asked first whether to end.
        wanted = state.wanted[0]
        return Refuse(step.id, wanted.by, f"wants “{wanted.proposal.title}” tried first")
    asking = _asking(step, rules)
    if asking is not None:
        return asking
    verdict = step.verdict_on("step")
    if step.proposal.lever == "stop" and verdict is not None:
        return Finish(step.proposal.title, verdict.by)
    if step.proposal.trains and step.trained is None:
        return Train(step.id)
    if not step.candidates:
        return Apply(step.id)
    return _measuring(state, step, rules)


def _measuring(state: State, step: Step, rules: Rules) -> Action:
    if step.red is not None and step.generation is not None:
        return Decide(step.generation, False, f"{step.red.name}: {step.red.detail}")
    unmeasured = [made for made in undecided(state, step) if step.measure_of(made.index) is None]
    for candidate in unmeasured:
        if "dev" not in candidate.results:
            return Evaluate(candidate.index, "dev")
    found = step.measured
    if unmeasured or found is None:
        return Compare(step.id)
    if not found.held and found.outcome != "indecisive":
        return Decide(found.generation, found.outcome == "better", f"{found.outcome} on dev")
    if not found.held and rules.indecisive != "ask":
        return Decide(found.generation, rules.indecisive == "keep", "indecisive on dev, by the keep rule")
    if step.wanted is not None:
        return Gather(step.id)
    verdict = step.verdict_on("keep")
    if verdict is None:
        return OpenGate(step.id, "keep")
    why = "held for a person" if found.held else "indecisive on dev"
    return Decide(found.generation, verdict.kind == "approve", f"{why}, decided by {verdict.by}")


def auto_verdict(step: Step, left_s: float) -> tuple[VerdictKind, str]:
    """The automatic gate: yes, unless the preview on train is clearly worse or the training would outlast the `left_s`
    seconds of the wall clock budget; an indecisive result is not kept. A patch that comes with a training may be worse
    before it: of that the pilot, which is made with the patch, says more than the preview."""
    gate = step.open_gate
    if gate is not None and gate.kind == "keep":
        return "reject", "indecisive: the incumbent stays"
    if not step.proposal.trains and step.preview is not None and step.preview.hi < 0:
        return "reject", "clearly worse in the preview on train"
    hopeless = _hopeless(step)
    if hopeless is not None:
        return "reject", hopeless
    if step.pilot is not None and step.pilot.expected_s > left_s:
        asked, left = step.pilot.expected_s / 60, max(0.0, left_s) / 60
        return "reject", f"the training should take {asked:.1f} min, and {left:.1f} are left of the budget"
    return "approve", "no red light, not clearly worse in the preview"


def _hopeless(step: Step) -> str | None:
    """Why the pilot speaks against the plan: nothing to learn from, where partial credit may teach what clones only
    successes nothing, or steps that could not be made."""
    plan, done = step.proposal.plan, step.pilot
    if plan is None or done is None:
        return None
    if done.advised is not None and done.advised.algorithm is None:
        return done.advised.because
    if done.pilot.pass_n == 0 and (done.advised is None or plan.algorithm == "best_of_n"):
        return "the pilot solved no case: there is nothing to reinforce"
    if done.pilot.rehearsal is not None and done.pilot.rehearsal.fault:
        return f"the pilot's own steps were {done.pilot.rehearsal.told}"
    return None
