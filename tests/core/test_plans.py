"""What a plan may say, and what it should take."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core import codec
from sia_tui.core import events as ev
from sia_tui.core.checks import check_plan
from sia_tui.core.costs import Seen, rehearsed
from sia_tui.core.fold import advance
from sia_tui.core.gates import Gate
from sia_tui.core.loop import auto_verdict
from sia_tui.core.plans import ALGORITHMS, OFFLINE, Pilot, Rehearsal, TrainPlan, estimate
from sia_tui.core.proposals import Light, Proposal
from sia_tui.core.state import MACHINE, State, Step

PLAN = TrainPlan("grpo", 20, 16, 8, 2000, 80, 1e-3, eval_every=5)
PILOT = Pilot(4, 8, (1, 0, 0, 0, 2, 0, 0, 0, 1), 0.5, 0.1, 300.0)
MADE = Rehearsal(2, 64, 2.1, 1.9, 12.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("samples", 1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("rank", 513),
        ("clip", 0.0),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"plan: {field} must lie in"):
        replace(PLAN, **{field: value})


def test_whole_numbers_are_whole() -> None:
    eight = replace(PLAN, samples=8.0)  # type: ignore[arg-type]
    assert range(eight.samples) == range(8) and eight == PLAN
    for field, value in (("samples", 8.5), ("steps", True), ("rank", "8")):
        with pytest.raises(ValueError, match=rf"plan: {field} must be a whole number, got"):
            replace(PLAN, **{field: value})
    for gpus in (0, ("0",), (-1,)):
        with pytest.raises(ValueError, match="plan: serve_on must be a list of GPUs by number"):
            replace(PLAN, serve_on=gpus)  # type: ignore[arg-type]


def test_an_algorithm_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="'magic' is not one of"):
        replace(PLAN, algorithm="magic")  # type: ignore[arg-type]


def test_a_plan_says_what_it_changes() -> None:
    assert replace(PLAN, steps=30, clip=0.3).changes(PLAN) == {"steps": (20, 30), "clip": (0.2, 0.3)}
    assert PLAN.changes(PLAN) == {}


def test_a_pilot_tells_chances() -> None:
    assert PILOT.pass_1 == (2 * 4 + 8) / 32 and PILOT.pass_n == 0.75


@given(st.integers(1, 200), st.integers(1, 64), st.integers(2, 16), st.integers(1, 50))
def test_an_estimate_counts_every_rollout(steps: int, cases: int, samples: int, every: int) -> None:
    plan = replace(PLAN, steps=steps, cases_per_step=cases, samples=samples, eval_every=every)
    looks = 1 + len([step for step in range(1, steps + 1) if step % every == 0 or step == steps])
    assert estimate(plan, PILOT, 1.0).rollouts == steps * cases * samples + looks * plan.held_out
    cloning = replace(plan, algorithm="best_of_n")
    assert estimate(cloning, PILOT, 1.0).rollouts == plan.cases * samples + looks * plan.held_out
    assert estimate(plan, PILOT, 2.0).seconds == pytest.approx(estimate(plan, PILOT, 1.0).seconds + steps)


def proposal(plan: TrainPlan | None, **changes: Any) -> Proposal:
    return replace(Proposal("weights", "t", "r", "grpo", "c0", plan=plan), **changes)


def test_lights_on_a_plan() -> None:
    lights = {light.name: light.level for light in check_plan(proposal(PLAN), 2900, 80, ())}
    assert set(lights.values()) == {"ok"}
    assert [light.level for light in check_plan(proposal(None), 2900, 80, ())] == ["red"]
    assert [light.level for light in check_plan(proposal(PLAN, patch="--- a"), 2900, 80, ())] == ["red"]
    assert [light.level for light in check_plan(proposal(PLAN, lever="both"), 2900, 80, ())] == ["red"]
    for cases, held_out, level in ((1000, 80, "amber"), (2900, 40, "amber"), (2900, 7, "red"), (1, 80, "red")):
        assert {light.name: light.level for light in check_plan(proposal(PLAN), cases, held_out, ())}[
            "train cases"
        ] == level


def test_a_plan_that_failed_on_this_generation_is_not_made_again() -> None:
    failed = Step("p", proposal(PLAN), refused=ev.ProposalRefused("p", "training", "the weights did not move"))
    assert any(light.level == "red" for light in check_plan(proposal(PLAN), 2900, 80, [failed]))
    assert not any(light.level == "red" for light in check_plan(proposal(replace(PLAN, steps=21)), 2900, 80, [failed]))
    assert not any(light.level == "red" for light in check_plan(proposal(PLAN, base_commit="c1"), 2900, 80, [failed]))


def test_a_plan_survives_its_way_through_the_log() -> None:
    event = ev.ProposalMade("p-1", proposal(PLAN))
    kind, data = codec.encode(event)
    assert data["proposal"]["plan"] == asdict(PLAN) and codec.decode(kind, data) == event


def test_the_machines_failure_says_nothing_of_the_idea() -> None:
    fault = Step("p", proposal(PLAN), refused=ev.ProposalRefused("p", MACHINE, "the trainer died"))
    assert not fault.refuted and replace(fault, refused=ev.ProposalRefused("p", "training", "did not move")).refuted


def test_the_automatic_gate_keeps_to_the_budget_and_to_what_can_be_learned() -> None:
    gate = Gate("gate-1", "step", "p", "h" * 64, {})
    step = Step("p", proposal(PLAN), pilot=ev.PilotDone("p", PILOT, 120.0), gates=(gate,))
    assert auto_verdict(step, 121.0)[0] == "approve"
    assert auto_verdict(step, 119.0) == ("reject", "the training should take 2.0 min, and 2.0 are left of the budget")
    hopeless = replace(PILOT, solved=(4, 0, 0, 0, 0, 0, 0, 0, 0))
    assert auto_verdict(replace(step, pilot=ev.PilotDone("p", hopeless, 1.0)), 1e9)[0] == "reject"
    died = replace(PILOT, rehearsal=Rehearsal(fault="the trainer ended with status 4"))
    told = auto_verdict(replace(step, pilot=ev.PilotDone("p", died, 1.0)), 1e9)
    assert told == ("reject", "the pilot's own steps were not made: the trainer ended with status 4")


@pytest.mark.parametrize(
    ("made", "level", "said"),
    [
        (MADE, "ok", "2 steps made"),
        (Rehearsal(), "amber", "not made: nothing was said that a step could learn from"),
        (Rehearsal(fault="loss of step 1 is nan"), "amber", "not made: loss of step 1 is nan"),
        (Rehearsal(fault="OutOfMemoryError: CUDA out of memory"), "red", "weights.micro_tokens"),
        (Rehearsal(fault="DefaultCPUAllocator: can't allocate memory: you tried"), "red", "weights.micro_tokens"),
    ],
)
def test_the_pilots_own_steps_light_a_light(made: Rehearsal, level: str, said: str) -> None:
    state = State(steps=(Step("p", proposal(PLAN), lights=(Light("plan", "ok"),)),))
    done = ev.PilotDone("p", replace(PILOT, rehearsal=made), 1.0)
    lights = advance(state, ev.Recorded(1, "2026-01-01T00:00:00+00:00", done)).steps[0].lights or ()
    assert [light.name for light in lights] == ["plan", "rehearsal"]
    assert lights[1].level == level and said in lights[1].detail


def test_a_step_is_reckoned_by_the_pilots_own() -> None:
    """Half of the rollouts teach by comparison, all of them teach REINFORCE; measured on 64, a step learns from 128."""
    seen = replace(PILOT, rehearsal=MADE)
    steps = {name: rehearsed(replace(PLAN, algorithm=name), seen) for name in ALGORITHMS}
    assert steps["grpo"] == Seen(seen, 0.5 * 2.1, 64, int(1.9 * 2**30)) and steps["grpo"].step_of(PLAN) == 2.1
    assert {name for name, found in steps.items() if found and found.step_s == 2.1} == {
        *OFFLINE,
        "reinforce_kl",
        "ppo",
    }
    assert rehearsed(PLAN, PILOT) is None and rehearsed(PLAN, replace(PILOT, rehearsal=Rehearsal())) is None
